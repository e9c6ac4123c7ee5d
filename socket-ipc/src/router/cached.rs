//! What a connection keeps of the listeners: the table that it saw last, and the listener that it called last.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Router;
use super::calls::{PendingCall, ResponderCall};
use super::entry::Entry;
use super::table::Table;
use crate::wire::{EnvelopeError, EnvelopeText, Wire, utf8};

/// The table that a connection saw last.
pub(crate) struct Cached<F> {
    pub(super) table: Arc<Table<F>>,
    pub(super) generation: u64,
    /// The listener of the last message, if it was the only one: most messages have the topic of the one before.
    pub(super) only: Option<Arc<Entry<F>>>,
    /// How the envelope of that message began, up to the message itself. An envelope that begins the same way has the
    /// same topic, and comparing takes less time than reading the topic and looking it up.
    pub(super) front: String,
    /// The listener of that message finishes at once, and has read it in one pass: so the next messages may be a
    /// [run](Router::dispatch_run).
    pub(super) may_run: bool,
    /// Responders called since the last look that are still running.
    pub(crate) responder_calls: Vec<ResponderCall<F>>,
    /// How many messages `only` received that are not counted yet, and their bytes. They are counted in each turn. Not a
    /// pair, which would have no room for `may_run`.
    pub(super) uncounted: u32,
    pub(super) uncounted_bytes: usize,
}

impl<F> Cached<F> {
    /// Switches to the newest table.
    pub(super) fn renew(&mut self, router: &Router<F>) {
        self.count();
        let responder_calls = std::mem::take(&mut self.responder_calls);
        *self = Self { responder_calls, ..router.cached() };
    }

    /// Switches to the newest table if listeners have been attached or removed since, and drops the removed ones, also
    /// from the pending message, which comes with its bytes. Called in each poll of a connection: a running listener
    /// may wait until a removed one is dropped.
    #[inline]
    pub(crate) fn refresh(&mut self, router: &Router<F>, pending: Option<(&mut PendingCall<F>, &[u8])>)
    where
        F: Copy,
    {
        if self.generation != router.generation.load(Ordering::Acquire) {
            self.renew(router);
            if let Some((pending, bytes)) = pending {
                pending.retain_attached(router.wire, bytes);
            }
        }
    }

    /// Reads how a message begins.
    #[inline]
    pub(super) fn front<'m>(
        &mut self,
        wire: Wire,
        max_topic_len: usize,
        bytes: &'m [u8],
    ) -> Front<'_, 'm, F> {
        if self.only.is_some()
            && let Some(rest) = bytes.strip_prefix(self.front.as_bytes())
        {
            return match (&self.only, utf8(rest)) {
                (Some(only), Ok(rest)) => Front::Only(only, rest),
                _ => Front::Other(wire.text(bytes)),
            };
        }
        let read = match wire.text(bytes) {
            Ok(read) => read,
            Err(error) => return Front::Other(Err(error)),
        };
        let Some(head) = read.head.filter(|head| head.topic.len() <= max_topic_len) else {
            return Front::Other(Ok(read));
        };
        self.count();
        self.may_run = false;
        self.only = match self.table.topics.get(head.topic) {
            Some([only]) if self.table.every.is_empty() => Some(Arc::clone(only)),
            _ => None,
        };
        self.front.clear();
        self.front.push_str(&read.text[..read.text.len() - head.rest.len()]);
        match &self.only {
            Some(only) => Front::Only(only, head.rest),
            None => Front::Other(Ok(read)),
        }
    }
}

impl<F> Cached<F> {
    /// How each message of a run begins, if the next messages may be one.
    #[inline]
    pub(crate) fn front_of_run(&self) -> Option<&str> {
        (self.may_run && self.only.is_some()).then_some(&self.front)
    }

    /// Adds what was counted to the shared counters. Not message by message: other threads add to them, too.
    #[inline]
    pub(crate) fn count(&mut self) {
        let (messages, bytes) =
            (std::mem::take(&mut self.uncounted), std::mem::take(&mut self.uncounted_bytes));
        if messages > 0
            && let Some(only) = &self.only
        {
            only.counters.received.add(messages.into(), bytes);
        }
    }
}

/// What the front of a message shows.
pub(super) enum Front<'c, 'm, F> {
    /// The message has one listener, which is called with the text from the message on.
    Only(&'c Arc<Entry<F>>, &'m str),
    /// It has none or several, or the envelope has to be read whole to tell.
    Other(Result<EnvelopeText<'m>, EnvelopeError>),
}
