//! A stream of any node that offers its topic.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, Message, Subject, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::super::headers;
use super::super::requests;
use super::{FIRST_SIGN, VisitError, Visitor};
use crate::error::RequestError;
use crate::limits;
use crate::router::cost;
use crate::wire::raw_message::RawMessage;

/// How often the node is told that the reader is there, also while that reads nothing.
const RENEWAL: Duration = Duration::from_secs(1);

/// A stream that was requested.
pub struct VisitStream<'v> {
    visitor: &'v Visitor,
    topic: String,
    inbox: Subscriber,
    timeout: Duration,
    /// When it has to have begun; `None` if that is further away than this machine counts.
    begins_by: Option<Instant>,
    last_sign: Instant,
    /// The number of the next item; `None` before the stream has begun.
    due: Option<u64>,
    items: VecDeque<RawMessage<'static>>,
    /// The bytes of items that have arrived in all.
    arrived: u64,
    /// Those that were read in all.
    read: u64,
    ended: bool,
    control: Arc<Control>,
    renewal: AbortHandle,
}

/// What the node that has the request is told.
struct Control {
    nats: Client,
    /// Where it takes that; known from its first sign on.
    subject: watch::Sender<Option<Subject>>,
    /// How many bytes of items it may send in all.
    limit: AtomicU64,
}

/// Cancels a stream that another task may be waiting for.
pub struct StreamCanceller(Arc<Control>);

impl Visitor {
    /// Requests a stream.
    pub async fn request_stream(
        &self,
        topic: &str,
        message: &RawValue,
        timeout: Duration,
    ) -> Result<VisitStream<'_>, VisitError> {
        self.check_len(topic, message.get().len())?;
        let window = limits::STREAM_WINDOW;
        let inbox = self.subscribe(self.subjects.own_inbox()).await?;
        let (subject, reply) = (self.subjects.requests(topic), self.subjects.reply(0, 1));
        let payload = message.get().to_owned().into();
        let headers = headers::stream(window);
        let published = self.nats.publish_with_reply_and_headers(subject, reply, headers, payload).await;
        published.map_err(|_| VisitError::LinkDown)?;
        let control = Control {
            nats: self.nats.clone(),
            subject: watch::Sender::new(None),
            limit: AtomicU64::new(window),
        };
        let control = Arc::new(control);
        let renewing = Arc::clone(&control);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                renewing.renew().await;
            }
        });
        let now = Instant::now();
        Ok(VisitStream {
            visitor: self,
            topic: topic.to_owned(),
            inbox,
            timeout,
            begins_by: now.checked_add(timeout),
            last_sign: now,
            due: None,
            items: VecDeque::new(),
            arrived: 0,
            read: 0,
            ended: false,
            control,
            renewal: renewal.abort_handle(),
        })
    }
}

impl VisitStream<'_> {
    /// Cancels this stream from another task.
    pub fn canceller(&self) -> StreamCanceller {
        StreamCanceller(Arc::clone(&self.control))
    }

    /// Waits for the next item; `None` once the stream has ended. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<RawMessage<'static>, VisitError>> {
        loop {
            if let Some(item) = self.items.pop_front() {
                self.has_read(cost(item.as_str().len())).await;
                return Some(Ok(item));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.arrival().await {
                self.ended = true;
                self.items.clear();
                let is_told = matches!(
                    error,
                    VisitError::NoResponder { .. } | VisitError::Request(RequestError::Rejected { .. })
                );
                // Otherwise the node does not know that nobody reads on.
                if !is_told {
                    self.control.cancel().await;
                }
                return Some(Err(error));
            }
        }
    }

    /// Waits until something arrives, and takes it.
    async fn arrival(&mut self) -> Result<(), VisitError> {
        let visitor = self.visitor;
        let has_begun = self.due.is_some();
        tokio::select! {
            biased;
            message = self.inbox.next() => {
                let message = message.ok_or(VisitError::LinkDown)?;
                self.last_sign = Instant::now();
                self.take(&message)
            }
            error = visitor.trouble() => Err(error),
            () = passed(self.begins_by), if !has_begun => {
                let (topic, timeout) = (self.topic.clone(), self.timeout);
                Err(VisitError::Request(RequestError::Timeout { topic, timeout }))
            }
            () = tokio::time::sleep_until(self.last_sign + visitor.silence) => {
                Err(VisitError::Lost { topic: self.topic.clone(), silence: visitor.silence })
            }
        }
    }

    fn take(&mut self, message: &Message) -> Result<(), VisitError> {
        let topic = || self.topic.clone();
        let (number, due) = (headers::item(message), self.due.unwrap_or(1));
        if let Some(number) = number
            && number > due
        {
            return Err(VisitError::ItemsLost { topic: topic(), count: number - due });
        }
        if headers::is_working(message) {
            if let Some(control) = &message.reply
                && self.visitor.subjects.is_control(control)
            {
                self.control.subject.send_replace(Some(control.clone()));
            }
            self.due = self.due.or(number);
            return Ok(());
        }
        let refused = match requests::read_error(message) {
            Some(sent) => Some(self.visitor.refused(&self.topic, sent)),
            None if number.is_none() => {
                Some(VisitError::Request(RequestError::NotAStream { topic: topic() }))
            }
            None => None,
        };
        match refused {
            Some(error) => Err(error),
            None if headers::is_end(message) => {
                self.ended = true;
                Ok(())
            }
            // Items that came before.
            None if number != Some(due) => Ok(()),
            None => self.store(&message.payload, due),
        }
    }

    /// Stores items, one a line, the first of which has this number.
    fn store(&mut self, payload: &[u8], mut due: u64) -> Result<(), VisitError> {
        let limit = self.control.limit.load(Ordering::Acquire);
        for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if self.arrived >= limit {
                let (topic, size) = (self.topic.clone(), line.len() as u64);
                let window = limits::STREAM_WINDOW;
                return Err(VisitError::Request(RequestError::WindowExceeded { topic, size, window }));
            }
            self.arrived = self.arrived.saturating_add(cost(line.len()));
            let item = serde_json::from_slice(line);
            let item = item.map_err(|error| super::undecodable(self.topic.clone(), error.to_string()))?;
            self.items.push_back(item);
            due += 1;
        }
        self.due = Some(due);
        Ok(())
    }

    /// Tells the node to send more, once half of the window was read.
    async fn has_read(&mut self, len: u64) {
        self.read = self.read.saturating_add(len);
        let limit = self.read.saturating_add(limits::STREAM_WINDOW);
        if limit - self.control.limit.load(Ordering::Acquire) >= limits::STREAM_WINDOW.div_ceil(2) {
            self.control.limit.store(limit, Ordering::Release);
            self.control.renew().await;
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}

impl Drop for VisitStream<'_> {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl StreamCanceller {
    /// Tells the node that has the request that nobody reads the stream any more.
    pub async fn cancel(&self) {
        let mut subject = self.0.subject.subscribe();
        // The sign that says where may still come.
        let _ = timeout(FIRST_SIGN, subject.wait_for(Option::is_some)).await;
        self.0.cancel().await;
    }
}

impl Control {
    fn subject(&self) -> Option<Subject> {
        self.subject.borrow().clone()
    }

    async fn renew(&self) {
        if let Some(subject) = self.subject() {
            let limit = self.limit.load(Ordering::Acquire).to_string();
            // If it is lost, the next one says the same.
            let _ = self.nats.publish_with_headers(subject, headers::more(), limit.into()).await;
        }
    }

    async fn cancel(&self) {
        if let Some(subject) = self.subject() {
            super::cancel(&self.nats, subject).await;
        }
    }
}

impl fmt::Debug for VisitStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisitStream").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl fmt::Debug for StreamCanceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCanceller").finish_non_exhaustive()
    }
}
