//! Listeners and responders that were called and have not finished.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use super::entry::{Entry, listens_for};
use super::listener::{OnCancel, Wait};
use super::open_window::OpenWindow;
use super::report::Report;
use super::stream_responder::Streaming;
use super::table::Table;
use crate::error::error_reply::ErrorReply;
use crate::listener::caught;
use crate::wire::{ReplyTo, RequestId, Wire};

/// A message whose remaining listeners wait for a running one.
pub(crate) struct PendingCall<F> {
    /// `None` once it has finished.
    pub(super) wait: Option<Wait>,
    /// The topic of the running listener. Not the listener itself: it may be removed meanwhile, and what it owns is
    /// dropped then.
    pub(super) topic: Option<Arc<str>>,
    /// `None` where no listener is left.
    pub(super) rest: Option<Box<Rest<F>>>,
}

/// What the remaining listeners of a pending message need.
pub(super) struct Rest<F> {
    pub(super) left: Left<F>,
    /// The copy of its text, shared by the listeners that need one.
    pub(super) copy: OnceLock<Arc<str>>,
}

/// The listeners of a message that are still to be called.
pub(super) enum Left<F> {
    /// All listeners of the message at its arrival, but for the first `called`.
    OfTable { table: Arc<Table<F>>, called: usize },
    /// The listeners that are still attached.
    Attached {
        entries: Vec<Arc<Entry<F>>>,
        /// The responder was among them.
        responder_removed: bool,
    },
}

/// A request whose responder is running. Only the end of its connection waits for it.
pub(crate) struct ResponderCall<F> {
    /// `None` once it has finished.
    wait: Option<Wait>,
    /// The topic of the request. Not the responder itself, as for [`PendingCall`].
    topic: Option<Arc<str>>,
    to: ReplyTo,
    on_cancel: OnCancel,
    /// The window of a stream.
    window: Option<Arc<OpenWindow>>,
    from: PhantomData<fn(F)>,
}

impl<F> Left<F> {
    /// Leaves out the first `count` listeners, of the whole table or of the attached entries.
    pub(super) fn skip(self, count: usize) -> Self {
        match self {
            Self::OfTable { table, .. } => Self::OfTable { table, called: count },
            Self::Attached { mut entries, .. } => {
                entries.drain(..count);
                Self::Attached { entries, responder_removed: false }
            }
        }
    }

    /// The listeners, and whether the responder was among those removed. `topic` is that of the message.
    fn entries(self, topic: &str) -> (Vec<Arc<Entry<F>>>, bool) {
        match self {
            Self::OfTable { table, called } => {
                let all = table.every.iter().chain(table.of_topic(topic)).skip(called);
                (all.cloned().collect(), false)
            }
            Self::Attached { entries, responder_removed } => (entries, responder_removed),
        }
    }

    /// Leaves the responder out: nobody waits for its reply.
    fn without_responder(self, topic: &str) -> Self {
        let (mut entries, _) = self.entries(topic);
        entries.retain(|entry| !entry.listener.responds());
        Self::Attached { entries, responder_removed: false }
    }

    /// Drops the listeners that were removed. `topic` is that of the message.
    fn retain_attached(self, topic: &str) -> Self {
        let (mut entries, removed_before) = self.entries(topic);
        let removed: Vec<_> = entries.extract_if(.., |entry| !entry.is_attached()).collect();
        let responder_removed = removed_before || removed.iter().any(|entry| entry.listener.responds());
        Self::Attached { entries, responder_removed }
    }
}

impl<F> ResponderCall<F> {
    pub(super) fn new(wait: Wait, entry: &Entry<F>, to: ReplyTo, on_cancel: OnCancel) -> Self {
        let topic = entry.topic.clone();
        Self { wait: Some(wait), topic, to, on_cancel, window: None, from: PhantomData }
    }

    pub(super) fn streaming(streaming: Streaming, entry: &Entry<F>) -> Self {
        let Streaming { wait, to, window } = streaming;
        Self { window: Some(window), ..Self::new(wait, entry, to, OnCancel::Drop) }
    }

    /// The topic of the request.
    pub(crate) fn topic(&self) -> &str {
        self.topic.as_deref().unwrap_or_default()
    }

    /// The id and the window of a stream.
    pub(crate) fn stream(&self) -> Option<(&RequestId, &Arc<OpenWindow>)> {
        match (&self.to, &self.window) {
            (ReplyTo::Request(id), Some(window)) => Some((id, window)),
            _ => None,
        }
    }

    /// Whether it replies to the request with this id.
    pub(crate) fn replies_to(&self, id: &RequestId) -> bool {
        matches!(&self.to, ReplyTo::Request(request) if request == id)
    }

    /// What becomes of it where the requester gives up.
    pub(crate) fn on_cancel(&self) -> &OnCancel {
        &self.on_cancel
    }
}

impl<F: Copy> PendingCall<F> {
    /// What holds back the first message of a connection. No listener is called after it.
    pub(crate) fn before_first(wait: Wait) -> Self {
        Self { wait: Some(wait), topic: None, rest: None }
    }

    /// Drops the listeners that were removed while this waits. `bytes` is the envelope of the message.
    pub(super) fn retain_attached(&mut self, wire: Wire, bytes: &[u8]) {
        self.change_rest(wire, bytes, Left::retain_attached);
    }

    /// Leaves the responder of the message out: nobody waits for its reply. `bytes` are those of the message.
    pub(crate) fn cancel(&mut self, wire: Wire, bytes: &[u8]) {
        self.change_rest(wire, bytes, Left::without_responder);
    }

    fn change_rest(&mut self, wire: Wire, bytes: &[u8], change: impl FnOnce(Left<F>, &str) -> Left<F>) {
        let Some(rest) = self.rest.take() else { return };
        let Rest { left, copy } = *rest;
        // Never an error: it was decoded before.
        let Ok(envelope) = wire.decode(bytes) else { return };
        self.rest = Some(Box::new(Rest { left: change(left, &envelope.topic), copy }));
    }

    /// Polls the running listener. A panic is reported, and is `Ready`, too.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, from: F, report: &impl Report<F>) -> Poll<()> {
        let poll = caught(|| {
            let poll = self.wait.as_mut().map_or(Poll::Ready(()), |wait| wait.as_mut().poll(cx));
            if poll.is_ready() {
                // Inside the guard: it may panic as it is dropped.
                self.wait = None;
            }
            poll
        });
        poll.unwrap_or_else(|panic| {
            report.listener_panicked(listens_for(self.topic.as_deref()), from, panic);
            drop_wait(self.topic.as_deref(), &mut self.wait, from, report);
            Poll::Ready(())
        })
    }

    /// Drops the running listener, unfinished.
    pub(crate) fn give_up(mut self, from: F, report: &impl Report<F>) {
        drop_wait(self.topic.as_deref(), &mut self.wait, from, report);
    }

    /// Runs the listener to its end, apart from its connection.
    pub(crate) async fn run(mut self, from: F, report: &impl Report<F>) {
        std::future::poll_fn(|cx| self.poll(cx, from, report)).await;
    }
}

impl<F: Copy> ResponderCall<F> {
    /// Polls the responder. A panic is reported, and the requester gets an error reply.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, from: F, report: &impl Report<F>) -> Poll<()> {
        let Some(wait) = &mut self.wait else { return Poll::Ready(()) };
        match caught(|| wait.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(panic) => panicked(self.topic.as_deref(), Some(&self.to), panic, from, report),
        }
        self.give_up(from, report);
        Poll::Ready(())
    }

    /// Drops the responder before it is polled, and replies that there is no room for the request: `text` says why.
    pub(crate) fn reject(&mut self, text: String, from: F, report: &impl Report<F>) {
        self.give_up(from, report);
        let error_reply = ErrorReply::new(ErrorReply::TOO_MANY_REQUESTS, text);
        report.send_error_reply(&self.to, self.topic(), error_reply, from);
    }

    /// Takes the running responder out of this.
    pub(crate) fn take(&mut self) -> Self {
        let on_cancel = std::mem::replace(&mut self.on_cancel, OnCancel::Nothing);
        let (topic, to, window) = (self.topic.clone(), self.to.clone(), self.window.clone());
        Self { wait: self.wait.take(), topic, to, on_cancel, window, from: PhantomData }
    }

    /// Drops the responder, finished or not.
    pub(crate) fn give_up(&mut self, from: F, report: &impl Report<F>) {
        drop_wait(self.topic.as_deref(), &mut self.wait, from, report);
    }
}

/// Drops the future of a listener, finished or not. Dropping it may panic, which is reported.
fn drop_wait<F: Copy>(topic: Option<&str>, wait: &mut Option<Wait>, from: F, report: &impl Report<F>) {
    if let Err(panic) = caught(|| drop(wait.take())) {
        report.listener_panicked(listens_for(topic), from, panic);
    }
}

/// Reports that the responder of a topic panicked, and sends an error reply to the requester, if it has none yet. The text of the panic is
/// not sent to the peer.
pub(super) fn panicked<F: Copy>(
    topic: Option<&str>,
    to: Option<&ReplyTo>,
    panic: String,
    from: F,
    report: &impl Report<F>,
) {
    report.listener_panicked(listens_for(topic), from, panic);
    let Some(to) = to else { return };
    let topic = topic.unwrap_or_default();
    let text = format!("the responder of `{topic}` panicked");
    report.send_error_reply(to, topic, ErrorReply::new(ErrorReply::PANICKED, text), from);
}
