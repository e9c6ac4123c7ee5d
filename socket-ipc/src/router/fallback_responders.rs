//! Responders that reply only while their topic has no other one.
//!
//! A fallback responder is in the table like every other. While its topic has another responder, it is kept beside the
//! table, so that dispatching a message looks at one table only.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::entry::Entry;
use super::{Current, Place};
use crate::listener::ListenerId;

/// The fallback responders of topics that have another responder.
pub(super) struct FallbackResponders<F>(HashMap<Arc<str>, Arc<Entry<F>>, FixedState>);

impl<F> Default for FallbackResponders<F> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<F> FallbackResponders<F> {
    /// Removes the one that has the token.
    pub(super) fn take(&mut self, token: ListenerId) -> Option<Arc<Entry<F>>> {
        self.0.extract_if(|_, entry| entry.token == token).next().map(|(_, entry)| entry)
    }
}

impl<F> Current<F> {
    /// The fallback responder that is kept aside, where `entry` is another of its topic.
    pub(super) fn fallback_in_the_way_of(&self, topic: &str, entry: &Entry<F>) -> Option<&Arc<Entry<F>>> {
        self.fallbacks.0.get(topic).filter(|_| entry.listener.yields())
    }

    /// Puts a fallback responder aside where `entry` is another responder of its topic, and `entry` itself where it is
    /// the fallback. Says whether `entry` goes into the table.
    pub(super) fn make_way(&mut self, topic: &str, entry: &Arc<Entry<F>>) -> bool {
        if !entry.listener.responds() {
            return true;
        }
        let of_topic = self.table.topics.get(topic).into_iter().flatten();
        let Some(existing) = of_topic.clone().find(|entry| entry.responds()).cloned() else { return true };
        match (existing.listener.yields(), entry.listener.yields()) {
            (true, false) => {
                let table = Arc::make_mut(&mut self.table);
                table.topics.remove(topic, existing.token);
                self.places.remove(&existing.token);
                self.fallbacks.0.insert(topic.into(), existing);
                true
            }
            (false, true) => {
                self.fallbacks.0.insert(topic.into(), Arc::clone(entry));
                false
            }
            _ => true,
        }
    }

    /// Puts the fallback responders of the topics back into the table whose responders were removed.
    pub(super) fn restore_fallbacks(&mut self, removed: &[Arc<Entry<F>>]) {
        for topic in
            removed.iter().filter(|entry| entry.listener.responds()).filter_map(|entry| entry.topic.clone())
        {
            if let Some(fallback) = self.fallbacks.0.remove(&topic) {
                self.places.entry(fallback.token).or_default().push(Place::Topic(Arc::clone(&topic)));
                Arc::make_mut(&mut self.table).topics.push(topic, fallback);
            }
        }
    }
}
