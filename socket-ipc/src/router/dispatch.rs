//! One message to its listeners.

use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use super::{Cached, CallResult, Entry, Front, Report, Router, Table, Wait, listens_for};
use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::listener::caught;
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeError, EnvelopeKind, EnvelopeText, Wire, error_place, shift_place, shortened};

/// A message whose other listeners wait for one that is running.
pub(crate) struct PendingCall<F> {
    /// `None` once it has finished.
    wait: Option<Wait>,
    /// The topic of the running listener. Not the listener itself: it may be removed meanwhile, and what it owns is
    /// dropped then.
    topic: Option<Arc<str>>,
    /// `None` where no listener is left.
    rest: Option<Box<Rest<F>>>,
}

/// What the remaining listeners of a pending message need.
struct Rest<F> {
    left: Left<F>,
    /// The copy of its text, shared by the listeners that need one.
    copy: OnceLock<Arc<str>>,
}

/// The listeners of a message that are still to be called.
enum Left<F> {
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
    kind: EnvelopeKind,
    from: PhantomData<fn(F)>,
}

impl<F> Left<F> {
    /// Leaves out the first `count` listeners: of the whole table, or of those still attached.
    fn skip(self, count: usize) -> Self {
        match self {
            Self::OfTable { table, .. } => Self::OfTable { table, called: count },
            Self::Attached { mut entries, .. } => {
                entries.drain(..count);
                Self::Attached { entries, responder_removed: false }
            }
        }
    }

    /// Drops the listeners that were removed. `topic` is that of the message.
    fn retain_attached(self, topic: &str) -> Self {
        let (mut entries, removed_before) = match self {
            Self::OfTable { table, called } => {
                let all = table.every.iter().chain(table.of_topic(topic)).skip(called);
                (all.cloned().collect::<Vec<_>>(), false)
            }
            Self::Attached { entries, responder_removed } => (entries, responder_removed),
        };
        let removed: Vec<_> = entries.extract_if(.., |entry| !entry.is_attached()).collect();
        let responder_removed = removed_before || removed.iter().any(|entry| entry.listener.responds());
        Self::Attached { entries, responder_removed }
    }
}

impl<F> ResponderCall<F> {
    fn new(wait: Wait, entry: &Entry<F>, kind: EnvelopeKind) -> Self {
        Self { wait: Some(wait), topic: entry.topic.clone(), kind, from: PhantomData }
    }
}

impl<F: Copy> PendingCall<F> {
    /// Drops the listeners that were removed while this waits. `bytes` are those of the message.
    pub(super) fn retain_attached(&mut self, wire: Wire, bytes: &[u8]) {
        let Some(rest) = self.rest.take() else { return };
        let Rest { left, copy } = *rest;
        // Never an error: it was decoded before.
        let Ok(envelope) = wire.decode(bytes) else { return };
        self.rest = Some(Box::new(Rest { left: left.retain_attached(&envelope.topic), copy }));
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
            Err(panic) => panicked(self.topic.as_deref(), &self.kind, panic, from, report),
        }
        self.give_up(from, report);
        Poll::Ready(())
    }

    /// Drops the responder before it is polled, and replies that there is no room for the request.
    pub(crate) fn refuse(&mut self, limit: usize, from: F, report: &impl Report<F>) {
        self.give_up(from, report);
        let topic = self.topic.as_deref().unwrap_or_default();
        let text = format!(
            "received messages and running requests take {limit} bytes, the limit of `inbox_total_len`: try again later"
        );
        report.refuse(&self.kind, topic, ErrorReply::new(ErrorReply::TOO_MANY_REQUESTS, text), from);
    }

    /// Takes the running responder out of this.
    pub(crate) fn take(&mut self) -> Self {
        Self { wait: self.wait.take(), topic: self.topic.clone(), kind: self.kind.clone(), from: PhantomData }
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

/// Reports that the responder of a topic panicked, and sends an error reply to the requester. The text of the panic is
/// not sent to the peer.
fn panicked<F: Copy>(
    topic: Option<&str>,
    kind: &EnvelopeKind,
    panic: String,
    from: F,
    report: &impl Report<F>,
) {
    report.listener_panicked(listens_for(topic), from, panic);
    let topic = topic.unwrap_or_default();
    let text = format!("the responder of `{topic}` panicked");
    report.refuse(kind, topic, ErrorReply::new(ErrorReply::PANICKED, text), from);
}

impl<F: Copy> Router<F> {
    /// Calls the listeners of a message, given as the bytes of its envelope, in order. Where one does not finish at
    /// once, the others are left to [`resume`](Self::resume) with the same bytes.
    #[inline]
    pub(crate) fn dispatch(
        &self,
        cached: &mut Cached<F>,
        bytes: &[u8],
        from: F,
        report: &impl Report<F>,
    ) -> Option<PendingCall<F>> {
        if cached.generation != self.generation.load(Ordering::Acquire) {
            cached.renew(self);
        }
        let read = match cached.front(self.wire, self.max_topic_len, bytes) {
            Front::Only(only, rest) if only.is_attached() && !self.is_closed() => {
                let mut pending = None;
                let was_called = match caught(|| only.listener.call_one_pass(rest, from)) {
                    Ok(Some(CallResult::Done)) => true,
                    Ok(Some(CallResult::Wait(wait))) => {
                        pending =
                            Some(PendingCall { wait: Some(wait), topic: only.topic.clone(), rest: None });
                        true
                    }
                    Ok(Some(CallResult::Responding { wait, kind })) => {
                        let call = ResponderCall::new(wait, only, kind);
                        cached.responder_calls.push(call);
                        true
                    }
                    Ok(Some(CallResult::Panicked { kind, panic })) => {
                        panicked(only.topic.as_deref(), &kind, panic, from, report);
                        true
                    }
                    Ok(None) => false,
                    Err(panic) => {
                        report.listener_panicked(only.listens_for(), from, panic);
                        true
                    }
                };
                if was_called {
                    cached.uncounted.0 += 1;
                    cached.uncounted.1 += bytes.len() + self.wire.delimiter().len();
                    return pending;
                }
                None
            }
            Front::Only(..) => None,
            Front::Other(read) => Some(read),
        };
        let read = read.unwrap_or_else(|| self.wire.text(bytes));
        let Cached { table, responder_calls, .. } = cached;
        self.dispatch_from(table, None, OnceLock::new(), responder_calls, bytes, read, from, report)
    }

    /// Calls the remaining listeners of a message, once the one before them has finished.
    #[inline]
    pub(crate) fn resume(
        &self,
        cached: &mut Cached<F>,
        pending: &mut PendingCall<F>,
        bytes: &[u8],
        from: F,
        report: &impl Report<F>,
    ) -> Option<PendingCall<F>> {
        let Rest { left, copy } = *pending.rest.take()?;
        let Cached { table, responder_calls, .. } = cached;
        let read = self.wire.text(bytes);
        self.dispatch_from(table, Some(left), copy, responder_calls, bytes, read, from, report)
    }

    /// Counts a reply that was handed to the request that waits for it.
    pub(crate) fn count_reply(&self, bytes: &[u8]) {
        self.metrics.others.received.add(1, bytes.len() + self.wire.delimiter().len());
    }

    /// If the message is a reply, hands it to the request that waits for it. Says whether it is a reply.
    pub(crate) fn take_reply(&self, bytes: &[u8], from: F, report: &impl Report<F>) -> bool {
        let Ok(envelope) = self.wire.decode(bytes) else { return false };
        let EnvelopeKind::Reply(re) = &envelope.kind else { return false };
        self.count_reply(bytes);
        report.reply_arrived(re, &envelope.topic, bytes, from);
        true
    }

    /// Reads the envelope whole, and calls the listeners of its message, or those that are left.
    #[expect(clippy::too_many_arguments, reason = "a message, its listeners, and where to report")]
    fn dispatch_from(
        &self,
        table: &Arc<Table<F>>,
        left: Option<Left<F>>,
        copy: OnceLock<Arc<str>>,
        responder_calls: &mut Vec<ResponderCall<F>>,
        bytes: &[u8],
        read: Result<EnvelopeText<'_>, EnvelopeError>,
        from: F,
        report: &impl Report<F>,
    ) -> Option<PendingCall<F>> {
        let report_error = |kind| {
            report.message_error(MessageError::new(kind, bytes, bytes.len() as u64, self.raw_len), from)
        };
        let (text, envelope) = match read.and_then(|read| Ok((read.text, self.wire.decode_text(read)?))) {
            Ok(read) => read,
            Err(error) => {
                report_error(MessageErrorKind::Envelope(error));
                return None;
            }
        };
        let (topic, kind, message) = (envelope.topic.as_ref(), &envelope.kind, envelope.message.as_str());
        if topic.len() > self.max_topic_len && !matches!(kind, EnvelopeKind::Reply(_)) {
            let too_long = MessageErrorKind::TopicTooLong { size: topic.len(), limit: self.max_topic_len };
            if let EnvelopeKind::Request(_) = kind {
                let text = too_long.to_string();
                report.refuse(kind, "", ErrorReply::new(ErrorReply::UNDECODABLE, text), from);
            }
            report_error(too_long);
            return None;
        }
        let is_first = left.is_none();
        let (every, of_topic, first) = match &left {
            None => (&*table.every, table.of_topic(topic), 0),
            Some(Left::OfTable { table, called }) => (&*table.every, table.of_topic(topic), *called),
            Some(Left::Attached { entries, .. }) => (&entries[..], &[][..], 0),
        };
        if is_first {
            let counters = of_topic.first().map_or(&self.metrics.others, |entry| &entry.counters);
            counters.received.add(1, bytes.len() + self.wire.delimiter().len());
        }
        if let EnvelopeKind::Reply(re) = kind {
            report.reply_arrived(re, topic, bytes, from);
            return None;
        }
        let send_no_responder = || {
            // A closed router has no listeners, and its connections close: the requester gets the close as the cause.
            if self.is_closed() {
                return;
            }
            let text = format!("no responder for `{topic}`");
            report.refuse(kind, topic, ErrorReply::new(ErrorReply::NO_RESPONDER, text), from);
        };
        let is_request = matches!(kind, EnvelopeKind::Request(_));
        let responds =
            (is_request || envelope.odd_id.is_some()) && of_topic.iter().any(|entry| entry.responds());
        if is_request && is_first && !responds {
            send_no_responder();
        }
        if let Some(id) = envelope.odd_id
            && responds
            && is_first
        {
            // A reply can't repeat such an id, so the requester could not match it: the error is reported here instead.
            report_error(MessageErrorKind::RequestId { topic: topic.to_owned(), id: shortened(id) });
            return None;
        }
        if every.is_empty() && of_topic.is_empty() && is_first {
            tracing::debug!(topic, "no listener for this message");
        }
        if is_request && matches!(left, Some(Left::Attached { responder_removed: true, .. })) {
            send_no_responder();
        }
        for (number, entry) in every.iter().chain(of_topic).enumerate().skip(first) {
            if self.is_closed() {
                return None;
            }
            if !entry.is_attached() {
                // Removed while a listener before it ran, or just now.
                if is_request && entry.listener.responds() && (!is_first || responds) {
                    send_no_responder();
                }
                continue;
            }
            match caught(|| entry.listener.call(&RawMessage::shared(message, &copy), topic, from, kind)) {
                Ok(Ok(CallResult::Done)) => {}
                Ok(Ok(CallResult::Wait(wait))) => {
                    let called = number + 1;
                    let (is_last, topic) = (called == every.len() + of_topic.len(), entry.topic.clone());
                    let rest = (!is_last).then(|| {
                        let all = || Left::OfTable { table: Arc::clone(table), called };
                        Box::new(Rest { left: left.map_or_else(all, |left| left.skip(called)), copy })
                    });
                    return Some(PendingCall { wait: Some(wait), topic, rest });
                }
                Ok(Ok(CallResult::Responding { wait, kind })) => {
                    responder_calls.push(ResponderCall::new(wait, entry, kind));
                }
                Ok(Ok(CallResult::Panicked { kind, panic })) => {
                    panicked(entry.topic.as_deref(), &kind, panic, from, report)
                }
                Ok(Err(error)) => {
                    let (line, column, reason) = error_place(&error);
                    let (line, column) = shift_place(text, offset_in(text, message), line, column);
                    let type_name = entry.listener.type_name();
                    if entry.responds() {
                        let text = format!(
                            "`{topic}` is not a `{type_name}`: {reason} at line {line} column {column}"
                        );
                        report.refuse(kind, topic, ErrorReply::new(ErrorReply::UNDECODABLE, text), from);
                    }
                    report_error(MessageErrorKind::Decode {
                        topic: topic.to_owned(),
                        type_name,
                        line,
                        column,
                        reason,
                    });
                }
                Err(panic) if entry.responds() => panicked(entry.topic.as_deref(), kind, panic, from, report),
                Err(panic) => report.listener_panicked(entry.listens_for(), from, panic),
            }
        }
        None
    }
}

/// Where `part`, a slice of `text`, begins in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize).filter(|at| *at <= text.len()).unwrap_or(0)
}
