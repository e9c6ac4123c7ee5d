//! Topic to listeners: who hears a message, in which order. No I/O, no async.
//!
//! The listeners stand in a table that is never changed in place: a connection keeps the one it saw last and
//! looks for a newer one by a single atomic load for each message.

mod dispatch;
mod hear;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use foldhash::fast::FixedState;

use crate::error::MessageError;
use crate::listener::Listener;
use crate::sync::lock;
use crate::wire::{Wire, utf8};

pub(crate) use dispatch::Held;
pub(crate) use hear::{Hear, Heard, Owned, Raw, Typed, Wait};
pub use subscription::Subscription;
pub(crate) use subscription::{Detach, subscription};

/// Who hears what. `F` says where a message is from: a client's id on a server, nothing on a client.
pub(crate) struct Router<F> {
    table: Mutex<Arc<Table<F>>>,
    /// Counts the tables there have been.
    generation: AtomicU64,
    closed: AtomicBool,
    wire: Wire,
    max_topic_len: usize,
    raw_len: usize,
}

/// The listeners at one moment.
pub(crate) struct Table<F> {
    /// Those of every message, called before those of its topic.
    every: Vec<Arc<Entry<F>>>,
    topics: HashMap<Arc<str>, Vec<Arc<Entry<F>>>, FixedState>,
}

/// One listener.
pub(crate) struct Entry<F> {
    token: Listener,
    /// What it hears: a topic, or every message.
    topic: Option<Arc<str>>,
    attached: AtomicBool,
    hear: Box<dyn Hear<F>>,
}

/// The table that a connection saw last.
pub(crate) struct Cached<F> {
    table: Arc<Table<F>>,
    generation: u64,
    /// The listener of the message that came last, if it was the only one: most messages are of the topic of
    /// the one before.
    only: Option<Arc<Entry<F>>>,
    /// How the envelope of that message began, up to the message itself. What begins the same way has the same
    /// topic, which takes less time to see than to read the topic and look it up.
    front: Vec<u8>,
}

impl<F> Cached<F> {
    /// The only listener that a message has, if it has just one, and the text from the message on. `None`
    /// also where that takes a closer look.
    #[inline]
    fn only_listener<'m>(
        &mut self,
        wire: Wire,
        max_topic_len: usize,
        bytes: &'m [u8],
    ) -> Option<(&Arc<Entry<F>>, &'m str)> {
        if self.only.is_some()
            && let Some(rest) = bytes.strip_prefix(self.front.as_slice())
        {
            return Some((self.only.as_ref()?, utf8(rest).ok()?));
        }
        let text = utf8(bytes).ok()?;
        let head = wire.head(text).filter(|head| head.topic.len() <= max_topic_len)?;
        self.only = match self.table.topics.get(head.topic).map(Vec::as_slice) {
            Some([only]) if self.table.every.is_empty() => Some(Arc::clone(only)),
            _ => None,
        };
        self.front.clear();
        self.front.extend_from_slice(&bytes[..bytes.len() - head.rest.len()]);
        Some((self.only.as_ref()?, head.rest))
    }
}

/// Where a router says what it could not do.
pub(crate) trait Report<F> {
    fn message_error(&self, error: MessageError, from: F);
    /// `heard` names what the listener listened for.
    fn listener_panicked(&self, heard: String, from: F, panic: String);
}

impl<F> Table<F> {
    fn empty() -> Self {
        Self { every: Vec::new(), topics: HashMap::default() }
    }
}

// Not derived: `F` itself need not be `Clone`.
impl<F> Clone for Table<F> {
    fn clone(&self) -> Self {
        Self { every: self.every.clone(), topics: self.topics.clone() }
    }
}

impl<F> Entry<F> {
    fn heard(&self) -> String {
        self.topic.as_ref().map_or_else(|| "every message".to_owned(), |topic| format!("`{topic}`"))
    }
}

impl<F> Router<F> {
    pub(crate) fn new(wire: Wire, max_topic_len: usize, raw_len: usize) -> Self {
        Self {
            table: Mutex::new(Arc::new(Table::empty())),
            generation: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            wire,
            max_topic_len,
            raw_len,
        }
    }

    /// Attaches a listener to a topic, or to every message.
    pub(crate) fn attach(&self, topic: Option<&str>, hear: Box<dyn Hear<F>>) -> Listener {
        let token = Listener::next();
        let topic = topic.map(Arc::from);
        let entry = Arc::new(Entry { token, topic: topic.clone(), attached: AtomicBool::new(true), hear });
        let mut current = lock(&self.table);
        // Under the lock, so that none is attached after `clear`: it would be kept for nothing.
        if !self.closed.load(Ordering::Acquire) {
            let table = Arc::make_mut(&mut current);
            match topic {
                Some(topic) => table.topics.entry(topic).or_default().push(entry),
                None => table.every.push(entry),
            }
            self.generation.fetch_add(1, Ordering::Release);
        }
        token
    }

    /// Removes a listener, and says whether it was there. Once it returns no call of it starts.
    pub(crate) fn off(&self, token: Listener) -> bool {
        let mut removed = None;
        let mut current = lock(&self.table);
        let stands_in = |entries: &Vec<Arc<Entry<F>>>| entries.iter().position(|entry| entry.token == token);
        if let Some(at) = stands_in(&current.every) {
            removed = Some(Arc::make_mut(&mut current).every.remove(at));
        } else if let Some((topic, at)) =
            current.topics.iter().find_map(|(topic, entries)| Some((Arc::clone(topic), stands_in(entries)?)))
        {
            let topics = &mut Arc::make_mut(&mut current).topics;
            if let Some(entries) = topics.get_mut(&topic) {
                removed = Some(entries.remove(at));
                if entries.is_empty() {
                    topics.remove(&topic);
                }
            }
        }
        self.generation.fetch_add(1, Ordering::Release);
        drop(current);
        // The listener itself is dropped here, without the lock: that may run code of the user.
        removed.is_some_and(|entry| {
            entry.attached.store(false, Ordering::Release);
            true
        })
    }

    /// From now on no message listener starts.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Drops every listener, for good.
    pub(crate) fn clear(&self) {
        self.close();
        let before = std::mem::replace(&mut *lock(&self.table), Arc::new(Table::empty()));
        self.generation.fetch_add(1, Ordering::Release);
        drop(before);
    }

    pub(crate) fn cached(&self) -> Cached<F> {
        let table = lock(&self.table);
        Cached {
            generation: self.generation.load(Ordering::Acquire),
            table: Arc::clone(&table),
            only: None,
            front: Vec::new(),
        }
    }
}
