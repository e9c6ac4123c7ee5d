//! The items of a responder's stream, on their way to the requester.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::Serialize;
use tokio::task::yield_now;

use super::outbox::{Outbox, PushError};
use super::reply::{Outcome, reply};
use super::{EndpointState, encoded};
use crate::error::error_reply::ErrorReply;
use crate::router::{MaySend, OpenWindow, TooLong};
use crate::topic::TopicName;
use crate::wire::{ReplyTo, RequestId, Tail};

/// How many bytes of items a stream queues before other streams have their turn.
const TURN: usize = 64 * 1024;

/// Sends the items of one stream.
pub(crate) struct ItemSender<E> {
    endpoint: Arc<E>,
    /// The outbox of the connection that the request came over.
    outbox: Arc<Outbox>,
    re: RequestId,
    window: Arc<OpenWindow>,
}

/// What a stream has done, and what follows.
enum Step {
    /// An item of this length is queued.
    Queued(usize),
    /// The outbox has no room for an item, whose bytes these are.
    Held(Vec<u8>),
    /// The outbox has no room, and the stream was not polled.
    Wait,
    /// The endpoint closes.
    Close,
    /// The last line is queued, or the connection has ended.
    Done,
}

impl<E: EndpointState> ItemSender<E> {
    pub(crate) fn new(endpoint: Arc<E>, outbox: Arc<Outbox>, re: RequestId, window: Arc<OpenWindow>) -> Self {
        Self { endpoint, outbox, re, window }
    }

    /// Sends the items of the stream that `make` returns, to its end. `outcome_of` makes an error of the stream a
    /// reply.
    pub(crate) async fn run<M: Serialize, X: Serialize, S: Stream<Item = Result<M, X>>>(
        self,
        topic: TopicName<'_>,
        make: impl FnOnce() -> S,
        outcome_of: fn(&X) -> Outcome<'_, (), X>,
    ) {
        self.start(topic);
        self.send_all(topic, make(), outcome_of).await;
    }

    /// Sends the items of the stream that `open` resolves to, as [`run`](Self::run) does. Until then the responder has
    /// not begun.
    #[cfg(feature = "nats")]
    pub(crate) async fn run_opened<M: Serialize, X: Serialize, S: Stream<Item = Result<M, X>>>(
        self,
        topic: TopicName<'_>,
        open: impl Future<Output = Result<S, X>>,
        outcome_of: fn(&X) -> Outcome<'_, (), X>,
    ) {
        let mut open = pin!(open);
        let opened = poll_fn(|cx| {
            if self.window.poll_open(cx) == Poll::Ready(MaySend::End) {
                return Poll::Ready(None);
            }
            open.as_mut().poll(cx).map(Some)
        });
        match opened.await {
            None => self.close(topic),
            Some(Err(error)) => self.reply(topic, outcome_of(&error)),
            Some(Ok(stream)) => {
                self.start(topic);
                self.send_all(topic, stream, outcome_of).await;
            }
        }
    }

    async fn send_all<M: Serialize, X: Serialize, S: Stream<Item = Result<M, X>>>(
        self,
        topic: TopicName<'_>,
        stream: S,
        outcome_of: fn(&X) -> Outcome<'_, (), X>,
    ) {
        let mut stream = pin!(stream);
        let mut turn = TURN;
        loop {
            let len = match poll_fn(|cx| self.poll_step(cx, topic, stream.as_mut(), outcome_of)).await {
                Step::Queued(len) => len,
                Step::Held(item) => match self.send_later(topic, &item).await {
                    Ok(()) => item.len(),
                    Err(_) => return self.close(topic),
                },
                Step::Wait => match self.outbox.wait_for_room(0).await {
                    Ok(()) => 0,
                    Err(_) => return self.close(topic),
                },
                Step::Close => return self.close(topic),
                Step::Done => return,
            };
            turn = turn.saturating_sub(len);
            if turn == 0 {
                yield_now().await;
                turn = TURN;
            }
        }
    }

    /// Tells the requester that there is a responder, and that it has begun.
    fn start(&self, topic: TopicName<'_>) {
        let mut line = Vec::new();
        self.endpoint.limits().wire.encode_started(topic.as_str(), &self.re, &mut line);
        if self.outbox.push_reply_within(&line).is_ok() {
            self.endpoint.metrics().sent(topic, 1, line.len());
        }
    }

    /// Polls the stream, which is done only while its window is open and the outbox is below the high-water mark, and
    /// sends what it yields.
    fn poll_step<M: Serialize, X: Serialize, S: Stream<Item = Result<M, X>>>(
        &self,
        cx: &mut Context<'_>,
        topic: TopicName<'_>,
        stream: Pin<&mut S>,
        outcome_of: fn(&X) -> Outcome<'_, (), X>,
    ) -> Poll<Step> {
        if ready!(self.window.poll_open(cx)) == MaySend::End {
            return Poll::Ready(Step::Close);
        }
        if !self.outbox.has_room(0) {
            return Poll::Ready(Step::Wait);
        }
        match ready!(stream.poll_next(cx)) {
            Some(Ok(item)) => return Poll::Ready(self.send(topic, &item)),
            Some(Err(error)) => self.reply(topic, outcome_of(&error)),
            None => self.reply(topic, Outcome::<(), ErrorReply>::Reply(&())),
        }
        Poll::Ready(Step::Done)
    }

    fn send<M: Serialize>(&self, topic: TopicName<'_>, item: &M) -> Step {
        let delimiter = self.endpoint.limits().wire.delimiter().len();
        let mut beyond = None;
        let sent = encoded(&*self.endpoint, Tail::Item(&self.re), topic.as_str(), item, |bytes| {
            if let Err(too_long) = self.window.take(bytes.len() - delimiter) {
                beyond = Some(too_long);
                return Step::Done;
            }
            match self.queue(topic, bytes) {
                Ok(()) => Step::Queued(bytes.len()),
                Err(PushError::Ended) => Step::Done,
                Err(PushError::Full { .. } | PushError::TotalFull) => Step::Held(bytes.to_vec()),
            }
        });
        if let Some(TooLong { size, window }) = beyond {
            let text = format!(
                "an item of `{}` takes {size} bytes, more than the window of {window}: raise `stream_window`, or the \
                 `window` of the request",
                topic.as_str()
            );
            self.fail(topic, ErrorReply::new(ErrorReply::WINDOW, text));
        }
        sent.unwrap_or_else(|error| {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(topic = topic.as_str(), error = cause, "an item of a stream can't be sent");
            self.fail(topic, ErrorReply::new(ErrorReply::FAILED, error.to_string()));
            Step::Done
        })
    }

    /// Queues an item once there is room for it.
    async fn send_later(&self, topic: TopicName<'_>, item: &[u8]) -> Result<(), PushError> {
        loop {
            self.outbox.wait_for_room(item.len()).await?;
            match self.queue(topic, item) {
                // Another sender was faster.
                Err(PushError::Full { .. } | PushError::TotalFull) => {}
                queued => return queued,
            }
        }
    }

    fn queue(&self, topic: TopicName<'_>, item: &[u8]) -> Result<(), PushError> {
        self.outbox.push_reply_within(item)?;
        self.endpoint.metrics().sent(topic, 1, item.len());
        Ok(())
    }

    /// Ends the stream because the endpoint closes.
    fn close(&self, topic: TopicName<'_>) {
        let text = format!("the stream `{}` has ended: the connection is being closed", topic.as_str());
        self.fail(topic, ErrorReply::new(ErrorReply::CLOSING, text));
    }

    fn fail(&self, topic: TopicName<'_>, error_reply: ErrorReply) {
        self.reply(topic, Outcome::<(), ErrorReply>::ErrorReply(&error_reply));
    }

    /// The last line of the stream.
    fn reply<X: Serialize>(&self, topic: TopicName<'_>, outcome: Outcome<'_, (), X>) {
        reply(&*self.endpoint, &self.outbox, &ReplyTo::Request(self.re.clone()), topic, outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::connection::OutboxBudget;
    use crate::connection::session::walk::fake::Fake;
    use crate::limits::OUTBOX_HIGH_WATER;
    use crate::metrics::Metrics;
    use crate::wire::Window;

    /// Sends items of these texts through an outbox of `limit` bytes. Returns what is queued at each poll: after each, all
    /// of it is written, and the requester takes another short item.
    fn send(limit: usize, window: Window, items: &[String]) -> Vec<String> {
        let outbox = Arc::new(Outbox::new(limit, OutboxBudget::new(usize::MAX), Metrics::new()));
        let endpoint = Fake::new(crate::connection::Limits::default(), &outbox);
        let window = Arc::new(OpenWindow::new(window));
        let sender = ItemSender::new(endpoint, Arc::clone(&outbox), 1.into(), Arc::clone(&window));
        let items = futures_util::stream::iter(items.iter().map(Ok::<_, ErrorReply>));
        let mut run =
            pin!(sender.run(TopicName::AtRunTime("s"), || items, |error| Outcome::ErrorReply(error)));
        let mut written = Vec::new();
        loop {
            let is_done = run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            let mut lines = String::new();
            while let Some(segment) = outbox.take() {
                lines += std::str::from_utf8(segment.bytes()).unwrap();
                outbox.written(&segment, segment.bytes().len(), true);
            }
            written.push(lines);
            if is_done {
                return written;
            }
            assert!(written.len() < 100, "it never ends");
            window.open(64);
        }
    }

    fn item(text: &str) -> String {
        format!("{{\"topic\":\"s\",\"message\":\"{text}\",\"more\":true,\"re\":1}}\n")
    }

    #[tokio::test]
    async fn item_sender_item_without_room_arrives_once_there_is_room() {
        let texts = ["a", "b", "c"].map(|text| text.repeat(40));
        let polls = send(120, Window::Unlimited, &texts);
        let written = polls.concat();
        let items: String = texts.iter().map(|text| item(text)).collect();
        let (start, rest) = written.split_once('\n').unwrap();
        assert!(start.contains("\"started\":true"), "{start}");
        assert_eq!(rest.strip_prefix(&items), Some("{\"topic\":\"s\",\"message\":null,\"re\":1}\n"));
        assert!(polls.iter().all(|lines| lines.matches("\"more\"").count() <= 1), "{polls:?}");
    }

    #[tokio::test]
    async fn item_sender_long_run_of_items_yields_to_other_tasks() {
        let text = "x".repeat(OUTBOX_HIGH_WATER / 8);
        let polls = send(usize::MAX, Window::Unlimited, &vec![text; 32]);
        assert!(polls.iter().all(|lines| lines.len() < 2 * OUTBOX_HIGH_WATER));
        assert!(polls.len() <= 32 / 8 + 2, "it goes on for a whole turn: {} turns", polls.len());
        assert_eq!(polls.concat().matches("\"more\"").count(), 32);
    }

    #[tokio::test]
    async fn item_sender_closing_endpoint_ends_the_stream_with_an_error() {
        let outbox = Arc::new(Outbox::new(1_000, OutboxBudget::new(usize::MAX), Metrics::new()));
        let endpoint = Fake::new(crate::connection::Limits::default(), &outbox);
        let window = Arc::new(OpenWindow::new(Window::Unlimited));
        let sender = ItemSender::new(endpoint, Arc::clone(&outbox), 1.into(), Arc::clone(&window));
        let items = futures_util::stream::repeat_with(|| panic!("it is not polled any more"));
        window.close();
        let topic = TopicName::AtRunTime("s");
        sender.run::<(), ErrorReply, _>(topic, || items, |error| Outcome::ErrorReply(error)).await;
        let segment = outbox.take().unwrap();
        let lines = std::str::from_utf8(segment.bytes()).unwrap();
        assert!(lines.contains(ErrorReply::CLOSING) && lines.contains("\"re\":1}"), "{lines}");
    }

    #[tokio::test]
    async fn item_sender_item_longer_than_the_window_ends_the_stream() {
        // The delimiter does not count.
        let len = item("a").len() as u64 - 1;
        let fits = send(usize::MAX, Window::Bytes(len), &["a".to_owned()]).concat();
        assert!(fits.contains(&item("a")), "{fits}");
        let beyond = send(usize::MAX, Window::Bytes(len - 1), &["a".to_owned()]).concat();
        assert!(!beyond.contains(&item("a")), "{beyond}");
        assert!(
            beyond.contains(&format!("takes {len} bytes, more than the window of {}", len - 1)),
            "{beyond}"
        );
    }
}
