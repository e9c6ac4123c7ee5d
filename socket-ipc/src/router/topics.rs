//! The listeners of each topic, in parts that one table shares with the next.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::entry::Entry;
use crate::listener::ListenerId;

/// How many topics a part holds on average at most. A change copies one part and the list of parts.
const PART: usize = 64;

/// What comes back for the messages of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ComesBack {
    Nothing,
    /// A reply, under this topic.
    ReplyUnder(String),
    Stream,
}

type Part<F> = HashMap<Arc<str>, Vec<Arc<Entry<F>>>, FixedState>;

/// The listeners of each topic that has any, in the order in which they were attached.
pub(super) struct Topics<F> {
    /// Their number is a power of two.
    parts: Vec<Arc<Part<F>>>,
    len: usize,
}

impl<F> Topics<F> {
    pub(super) fn new() -> Self {
        Self { parts: vec![Arc::default()], len: 0 }
    }

    #[inline]
    pub(super) fn get(&self, topic: &str) -> Option<&[Arc<Entry<F>>]> {
        self.parts[self.part_of(topic)].get(topic).map(Vec::as_slice)
    }

    /// Each topic with its listeners, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Vec<Arc<Entry<F>>>)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    pub(super) fn push(&mut self, topic: Arc<str>, entry: Arc<Entry<F>>) {
        let at = self.part_of(&topic);
        let part = Arc::make_mut(&mut self.parts[at]);
        let before = part.len();
        part.entry(topic).or_default().push(entry);
        self.len += part.len() - before;
        if self.len > PART * self.parts.len() {
            self.double();
        }
    }

    /// Takes out the listeners of a topic that have this token.
    pub(super) fn remove(&mut self, topic: &str, token: ListenerId) -> Vec<Arc<Entry<F>>> {
        let at = self.part_of(topic);
        let part = Arc::make_mut(&mut self.parts[at]);
        let Some(entries) = part.get_mut(topic) else { return Vec::new() };
        let removed = entries.extract_if(.., |entry| entry.token == token).collect();
        if entries.is_empty() {
            part.remove(topic);
            self.len -= 1;
        }
        removed
    }

    #[cfg(test)]
    pub(super) fn part_count(&self) -> usize {
        self.parts.len()
    }

    fn double(&mut self) {
        let all: Vec<_> = self.iter().map(|(topic, entries)| (Arc::clone(topic), entries.clone())).collect();
        self.parts = vec![Arc::default(); 2 * self.parts.len()];
        for (topic, entries) in all {
            let at = self.part_of(&topic);
            Arc::make_mut(&mut self.parts[at]).insert(topic, entries);
        }
    }

    #[inline]
    fn part_of(&self, topic: &str) -> usize {
        match self.parts.len() {
            1 => 0,
            // Bits that the map of the part uses neither for the place of an entry nor for its tag.
            count => (FixedState::default().hash_one(topic) >> 40) as usize & (count - 1),
        }
    }
}

// Not derived: `F` itself need not be `Clone`.
impl<F> Clone for Topics<F> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), len: self.len }
    }
}
