//! One message to its listeners.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::{Cached, Entry, Heard, Report, Router, Table, Wait};
use crate::error::{MessageError, MessageErrorKind};
use crate::listener::caught;
use crate::wire::{place, shift_place, utf8};

/// A message whose further listeners wait for one that was called.
pub(crate) struct Held<F> {
    wait: Wait,
    entry: Arc<Entry<F>>,
    /// The listeners that there were when the message arrived, and how many of its were called, if any are
    /// left.
    rest: Option<(Arc<Table<F>>, usize)>,
}

impl<F: Copy> Held<F> {
    /// Goes on with what the called listener waits for. `Ready` also when it panics, which is reported.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, from: F, report: &impl Report<F>) -> Poll<()> {
        match caught(|| self.wait.as_mut().poll(cx)) {
            Ok(poll) => poll,
            Err(panic) => {
                report.listener_panicked(self.entry.heard(), from, panic);
                Poll::Ready(())
            }
        }
    }

    /// Drops what the called listener waits for, unfinished. What it owns may panic then, too.
    pub(crate) fn give_up(self, from: F, report: &impl Report<F>) {
        if let Err(panic) = caught(|| drop(self.wait)) {
            report.listener_panicked(self.entry.heard(), from, panic);
        }
    }

    /// Runs what the called listener waits for to its end, apart from its connection.
    pub(crate) async fn run(mut self, from: F, report: &impl Report<F>) {
        std::future::poll_fn(|cx| self.poll(cx, from, report)).await;
    }
}

impl<F: Copy> Router<F> {
    /// Calls the listeners of a message, given as the bytes of its envelope, in order. Where one has to be
    /// waited for, the others are left to [`resume`](Self::resume) with the same bytes.
    #[inline]
    pub(crate) fn dispatch(
        &self,
        cached: &mut Cached<F>,
        bytes: &[u8],
        from: F,
        report: &impl Report<F>,
    ) -> Option<Held<F>> {
        if cached.generation != self.generation.load(Ordering::Acquire) {
            *cached = self.cached();
        }
        if let Some((only, rest)) = cached.only_listener(self.wire, self.max_topic_len, bytes)
            && only.attached.load(Ordering::Acquire)
            && !self.is_closed()
        {
            match caught(|| only.hear.hear_one_pass(rest, from)) {
                Ok(Some(Heard::Done)) => return None,
                Ok(Some(Heard::Wait(wait))) => {
                    return Some(Held { wait, entry: Arc::clone(only), rest: None });
                }
                Ok(None) => {}
                Err(panic) => {
                    report.listener_panicked(only.heard(), from, panic);
                    return None;
                }
            }
        }
        self.dispatch_from(&cached.table, 0, bytes, from, report)
    }

    /// Calls the listeners of a message that come after the one that was waited for.
    pub(crate) fn resume(
        &self,
        held: &Held<F>,
        bytes: &[u8],
        from: F,
        report: &impl Report<F>,
    ) -> Option<Held<F>> {
        let (table, called) = held.rest.as_ref()?;
        self.dispatch_from(table, *called, bytes, from, report)
    }

    /// Calls the listeners of a message from the one with the number `first` on, reading the envelope whole
    /// before.
    fn dispatch_from(
        &self,
        table: &Arc<Table<F>>,
        first: usize,
        bytes: &[u8],
        from: F,
        report: &impl Report<F>,
    ) -> Option<Held<F>> {
        let refuse = |kind| {
            report.message_error(MessageError::new(kind, bytes, bytes.len() as u64, self.raw_len), from)
        };
        let (text, envelope) = match utf8(bytes).and_then(|text| Ok((text, self.wire.decode_text(text)?))) {
            Ok(read) => read,
            Err(error) => {
                refuse(MessageErrorKind::Envelope(error));
                return None;
            }
        };
        let topic = envelope.topic.as_ref();
        if topic.len() > self.max_topic_len {
            refuse(MessageErrorKind::TopicTooLong { size: topic.len(), limit: self.max_topic_len });
            return None;
        }
        let of_topic = table.topics.get(topic).map_or(&[][..], Vec::as_slice);
        if table.every.is_empty() && of_topic.is_empty() {
            tracing::debug!(topic, "nobody listens for this message");
        }
        for (number, entry) in table.every.iter().chain(of_topic).enumerate().skip(first) {
            if self.is_closed() {
                return None;
            }
            if !entry.attached.load(Ordering::Acquire) {
                continue;
            }
            let message = envelope.message.as_str();
            match caught(|| entry.hear.hear(message, topic, from)) {
                Ok(Ok(Heard::Done)) => {}
                Ok(Ok(Heard::Wait(wait))) => {
                    let called = number + 1;
                    let rest =
                        (called < table.every.len() + of_topic.len()).then(|| (Arc::clone(table), called));
                    return Some(Held { wait, entry: Arc::clone(entry), rest });
                }
                Ok(Err(error)) => {
                    let (line, column, reason) = place(&error);
                    let (line, column) = shift_place(text, offset_in(text, message), line, column);
                    let type_name = entry.hear.type_name();
                    refuse(MessageErrorKind::Decode {
                        topic: topic.to_owned(),
                        type_name,
                        line,
                        column,
                        reason,
                    });
                }
                Err(panic) => report.listener_panicked(entry.heard(), from, panic),
            }
        }
        None
    }
}

/// Where `part`, a slice of `text`, begins in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize).filter(|at| *at <= text.len()).unwrap_or(0)
}
