//! One attached listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::listener::{Gone, Listener};
use crate::listener::{DropReport, ListenerId};
use crate::metrics::TopicCounters;
use crate::wire::{EnvelopeKind, ReplyTo};

/// One listener.
pub(crate) struct Entry<F> {
    pub(super) token: ListenerId,
    /// The topic it is registered for; `None` where it is not bound to one.
    pub(super) topic: Option<Arc<str>>,
    pub(super) attached: AtomicBool,
    pub(super) listener: Box<dyn Listener<F>>,
    /// The counters of its topic, or of all other messages.
    pub(super) counters: Arc<TopicCounters>,
    pub(super) report: DropReport,
}

/// What a listener is registered for, in words.
pub(super) fn listens_for(topic: Option<&str>) -> String {
    topic.map_or_else(|| "every message".to_owned(), |topic| format!("`{topic}`"))
}

impl<F> Entry<F> {
    pub(super) fn listens_for(&self) -> String {
        listens_for(self.topic.as_deref())
    }

    pub(super) fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    pub(super) fn responds(&self) -> bool {
        self.listener.responds() && self.is_attached()
    }

    /// The recipient of the reply to a message of this kind.
    pub(super) fn reply_to(&self, kind: &EnvelopeKind) -> ReplyTo {
        kind.reply_to(self.listener.reply_topic().is_some())
    }
}

impl<F> Drop for Entry<F> {
    fn drop(&mut self) {
        let listener = std::mem::replace(&mut self.listener, Box::new(Gone));
        self.report.drop_listener(listener, || self.listens_for());
    }
}
