//! The listeners at one moment.

use std::sync::Arc;

use super::entry::Entry;
use super::topics::Topics;

/// The listeners at one moment.
pub(crate) struct Table<F> {
    /// Listeners of every message, called before the listeners of its topic.
    pub(super) every: Vec<Arc<Entry<F>>>,
    pub(super) topics: Topics<F>,
    /// Listeners of messages whose topic has none.
    pub(super) fallback: Vec<Arc<Entry<F>>>,
}

impl<F> Table<F> {
    /// The listeners of a topic.
    pub(super) fn of_topic(&self, topic: &str) -> &[Arc<Entry<F>>] {
        self.topics.get(topic).unwrap_or(&self.fallback)
    }

    pub(super) fn empty() -> Self {
        Self { every: Vec::new(), topics: Topics::new(), fallback: Vec::new() }
    }
}

// Not derived: `F` itself need not be `Clone`.
impl<F> Clone for Table<F> {
    fn clone(&self) -> Self {
        Self { every: self.every.clone(), topics: self.topics.clone(), fallback: self.fallback.clone() }
    }
}
