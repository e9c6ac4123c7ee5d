//! One message to its listeners.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::Router;
use super::cached::{Cached, Front};
use super::calls::{Left, PendingCall, ResponderCall, Rest, panicked};
use super::listener::CallResult;
use super::report::Report;
use super::stream_responder::{Rejection, window_of};
use super::table::Table;
use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind, short_type_name};
use crate::listener::caught;
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeError, EnvelopeKind, EnvelopeText, error_place, shortened};

/// The longest message, in bytes, behind which a run is looked for. A run of longer ones would gain nothing.
const SHORT: usize = 512;

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
                // It comes without a trace.
                #[cfg(feature = "otel")]
                let _trace = report.trace(None, from);
                let (mut pending, mut may_run) = (None, false);
                let was_called = match caught(|| only.listener.call_one_pass(rest, from)) {
                    Ok(Some(CallResult::Done)) => {
                        may_run = bytes.len() <= SHORT && only.listener.finishes_at_once();
                        true
                    }
                    Ok(Some(CallResult::Wait(wait))) => {
                        pending =
                            Some(PendingCall { wait: Some(wait), topic: only.topic.clone(), rest: None });
                        true
                    }
                    Ok(Some(CallResult::Responding { wait, to, on_cancel })) => {
                        let call = ResponderCall::new(wait, only, to, on_cancel);
                        cached.responder_calls.push(call);
                        true
                    }
                    Ok(Some(CallResult::Streaming(streaming))) => {
                        let call = ResponderCall::streaming(*streaming, only);
                        cached.responder_calls.push(call);
                        true
                    }
                    Ok(Some(CallResult::Panicked { to, panic })) => {
                        panicked(only.topic.as_deref(), to.as_ref(), panic, from, report);
                        true
                    }
                    Ok(None) => false,
                    Err(panic) => {
                        report.listener_panicked(only.listens_for(), from, panic);
                        true
                    }
                };
                cached.may_run = may_run;
                if was_called {
                    cached.uncounted += 1;
                    cached.uncounted_bytes += bytes.len() + self.wire.delimiter().len();
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

    /// Calls the listener of the last message with the messages of `lines`, which are whole, as long as they are a run:
    /// they begin as that one did, and are read in one pass. `goes_on` is asked behind each, with its length. Returns
    /// how many bytes of `lines` were dispatched.
    ///
    /// What else a message may be, such as a reply or a request, need not be looked for before: it has a further key, and
    /// then it is not read in one pass.
    #[inline]
    pub(crate) fn dispatch_run(
        &self,
        cached: &mut Cached<F>,
        lines: &str,
        from: F,
        report: &impl Report<F>,
        mut goes_on: impl FnMut(usize) -> bool,
    ) -> usize {
        let Cached { only: Some(only), front, may_run: true, .. } = cached else { return 0 };
        let mut rest = lines;
        while let Some(message) = rest.strip_prefix(front.as_str())
            && let Some(len) = memchr::memchr(b'\n', message.as_bytes())
            && cached.generation == self.generation.load(Ordering::Acquire)
            && only.is_attached()
            && !self.is_closed()
        {
            // It comes without a trace.
            #[cfg(feature = "otel")]
            let _trace = report.trace(None, from);
            let is_plain = |line: &str| {
                self.wire.decode(line.as_bytes()).is_ok_and(|line| matches!(line.kind, EnvelopeKind::Message))
            };
            match caught(|| only.listener.call_one_pass(&message[..len], from)) {
                Ok(Some(_)) => {}
                // A `Deserialize` may panic before it is known that the message is a reply, which another takes.
                Err(panic) if is_plain(&rest[..front.len() + len]) => {
                    report.listener_panicked(only.listens_for(), from, panic);
                }
                Ok(None) | Err(_) => {
                    cached.may_run = false;
                    break;
                }
            }
            let taken = front.len() + len + 1;
            cached.uncounted += 1;
            cached.uncounted_bytes += taken;
            rest = &message[len + 1..];
            if !goes_on(taken) {
                break;
            }
        }
        lines.len() - rest.len()
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
        self.count_replies(1, bytes.len());
    }

    /// Counts as many of them, of so many bytes without their delimiters.
    pub(crate) fn count_replies(&self, replies: u64, bytes: usize) {
        let delimiters = replies as usize * self.wire.delimiter().len();
        self.metrics.others.received.add(replies, bytes + delimiters);
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
        let envelope = match read.and_then(|read| self.wire.decode_text(read)) {
            Ok(envelope) => envelope,
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
                report.send_error_reply(
                    &kind.reply_to(false),
                    "",
                    ErrorReply::new(ErrorReply::UNDECODABLE, text),
                    from,
                );
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
            report.send_error_reply(
                &kind.reply_to(false),
                topic,
                ErrorReply::new(ErrorReply::NO_RESPONDER, text),
                from,
            );
        };
        let is_request = matches!(kind, EnvelopeKind::Request(_));
        #[cfg(feature = "otel")]
        let _trace = report.trace(envelope.trace, from);
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
            if envelope.replies_to_none && entry.listener.responds() {
                // Two responders could reply to each other for ever.
                continue;
            }
            let window = match window_of(entry, &envelope) {
                Ok(window) => window,
                Err(Rejection::Reply(error_reply)) => {
                    report.send_error_reply(&kind.reply_to(false), topic, error_reply, from);
                    continue;
                }
                Err(Rejection::Reported(kind)) => {
                    report_error(kind);
                    continue;
                }
            };
            let message = RawMessage::shared(message, &copy);
            let called = caught(|| match window {
                Some((id, window)) => entry.listener.begin_stream(&message, from, id, window),
                None => entry.listener.call(&message, topic, from, kind),
            });
            match called {
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
                Ok(Ok(CallResult::Responding { wait, to, on_cancel })) => {
                    responder_calls.push(ResponderCall::new(wait, entry, to, on_cancel));
                }
                Ok(Ok(CallResult::Streaming(streaming))) => {
                    responder_calls.push(ResponderCall::streaming(*streaming, entry));
                }
                Ok(Ok(CallResult::Panicked { to, panic })) => {
                    panicked(entry.topic.as_deref(), to.as_ref(), panic, from, report)
                }
                Ok(Err(error)) => {
                    let (topic, type_name) = (topic.to_owned(), short_type_name(entry.listener.type_name()));
                    let error = if envelope.has_message {
                        let (line, column, reason) = error_place(&error);
                        MessageErrorKind::Decode { topic, type_name, line, column, reason }
                    } else {
                        MessageErrorKind::NoMessage { topic, type_name, key: self.wire.message_key() }
                    };
                    if entry.responds() {
                        let reply = ErrorReply::new(ErrorReply::UNDECODABLE, error.to_string());
                        report.send_error_reply(&entry.reply_to(kind), &envelope.topic, reply, from);
                    }
                    report_error(error);
                }
                Err(panic) if entry.responds() => {
                    panicked(entry.topic.as_deref(), Some(&entry.reply_to(kind)), panic, from, report)
                }
                Err(panic) => report.listener_panicked(entry.listens_for(), from, panic),
            }
        }
        None
    }
}
