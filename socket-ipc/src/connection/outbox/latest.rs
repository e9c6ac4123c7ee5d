//! Messages of which only the latest matters: one a topic waits beside the queue while the peer is behind.
//!
//! A waiting message counts in its outbox as a queued one does, and is written with the rest in a drain. The next
//! message of its topic takes its place. It is queued as soon as there is room. An empty queue always has room, so a
//! message waits only while something is being written, which makes room.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::broadcast::{Body, Broadcast, SHARE_FROM, Shared};
use super::{Outbox, PushError, Queue};
use crate::limits::OUTBOX_HIGH_WATER;
use crate::sync::lock;

/// An encoded message on its way into the outboxes.
pub(crate) struct LatestBroadcast<'b> {
    broadcast: Broadcast<'b>,
    topic: &'b str,
    /// The index of the topic's counters.
    index: usize,
    /// Made for the first outbox in which it waits, and shared by all.
    waiting: OnceCell<Arc<Waiting>>,
}

impl<'b> LatestBroadcast<'b> {
    pub(crate) fn new(broadcast: Broadcast<'b>, topic: &'b str, index: usize) -> Self {
        Self { broadcast, topic, index, waiting: OnceCell::new() }
    }

    fn waiting(&self) -> &Arc<Waiting> {
        self.waiting.get_or_init(|| {
            let bytes = match self.broadcast.body() {
                Body::Long(shared) => Arc::clone(shared),
                Body::Short(_) => self.broadcast.share(),
            };
            Arc::new(Waiting { topic: self.topic.into(), index: self.index, bytes })
        })
    }
}

/// Where a message has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Into the queue.
    Queued,
    /// Beside the queue.
    Deferred,
    /// Beside the queue, in the place of the one that waited there.
    Replaced,
}

/// A message that waits beside the queues of one or more outboxes.
#[derive(Debug)]
struct Waiting {
    topic: Arc<str>,
    /// The index of the topic's counters.
    index: usize,
    bytes: Arc<Shared>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.bytes.bytes().len()
    }
}

/// The messages that wait beside the queue of one outbox.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Their topics, in the order in which they are to be queued.
    order: VecDeque<Arc<str>>,
    /// Topics may be made up by peers, so the hashes have a random seed.
    by_topic: HashMap<Arc<str>, Arc<Waiting>>,
    /// Their bytes.
    len: usize,
}

impl Deferred {
    /// The bytes of the message of a topic.
    fn len_of(&self, topic: &str) -> usize {
        self.by_topic.get(topic).map_or(0, |waiting| waiting.len())
    }

    /// Adds a message. One of the same topic is replaced, and its place kept.
    fn put(&mut self, waiting: &Arc<Waiting>) -> Placed {
        self.len += waiting.len();
        match self.by_topic.entry(Arc::clone(&waiting.topic)) {
            Entry::Occupied(mut same) => {
                self.len -= same.insert(Arc::clone(waiting)).len();
                Placed::Replaced
            }
            Entry::Vacant(free) => {
                free.insert(Arc::clone(waiting));
                self.order.push_back(Arc::clone(&waiting.topic));
                Placed::Deferred
            }
        }
    }

    fn first(&self) -> Option<&Arc<Waiting>> {
        self.order.front().and_then(|topic| self.by_topic.get(topic))
    }

    fn pop(&mut self) -> Option<Arc<Waiting>> {
        let waiting = self.order.pop_front().and_then(|topic| self.by_topic.remove(&topic))?;
        self.len -= waiting.len();
        Some(waiting)
    }
}

impl Queue {
    /// The bytes that are queued, without those that wait.
    pub(super) fn queued_len(&self) -> usize {
        self.len - self.deferred.as_ref().map_or(0, |deferred| deferred.len)
    }
}

impl Outbox {
    /// Queues a message, or keeps it as the latest of its topic while the peer is behind. `Full` if the messages that
    /// wait would exceed the limit of the outbox; a single one always finds room. The caller has checked the total.
    pub(crate) fn push_latest(&self, latest: &LatestBroadcast<'_>) -> Result<Placed, PushError> {
        let len = latest.broadcast.bytes().len();
        let mut queue = lock(&self.queue);
        if self.has_ended() {
            return Err(PushError::Ended);
        }
        if queue.deferred.is_none() && self.takes_latest(queue.len, len) {
            queue.append_broadcast(&latest.broadcast);
            self.pushed(queue, len);
            return Ok(Placed::Queued);
        }
        let waiting = latest.waiting();
        let (others, before) = match &queue.deferred {
            Some(deferred) => {
                let before = deferred.len_of(&waiting.topic);
                (deferred.len - before, before)
            }
            None => (0, 0),
        };
        if others > 0 && queue.len - before + len > self.limit {
            return Err(PushError::Full { queued: queue.len });
        }
        queue.len = queue.len - before + len;
        let placed = queue.deferred.get_or_insert_default().put(waiting);
        queue.messages += u64::from(placed == Placed::Deferred);
        self.queue_deferred(&mut queue);
        self.queued.store(queue.len, Ordering::Release);
        // The session need not be woken: something is queued already, which it writes first.
        Ok(placed)
    }

    /// Queues the messages that wait, as far as there is room.
    pub(super) fn queue_deferred(&self, queue: &mut Queue) {
        while let Some(deferred) = &mut queue.deferred {
            let queued = queue.len - deferred.len;
            let Some(first) = deferred.first() else {
                queue.deferred = None;
                return;
            };
            if !self.takes_latest(queued, first.len()) {
                return;
            }
            let Some(next) = deferred.pop() else { return };
            queue.uncounted.sent(next.index, next.len(), &self.metrics);
            if next.len() >= SHARE_FROM {
                queue.contents.share(&next.bytes);
            } else {
                self.total.add(next.len());
                queue.contents.append(next.bytes.bytes());
            }
        }
    }

    /// Whether a message of `len` bytes has room behind `queued` bytes. A long message is counted in the total once,
    /// whether it waits or is queued. A short one is copied into the queue, and the total may have no room for the
    /// copy.
    fn takes_latest(&self, queued: usize, len: usize) -> bool {
        let after = queued.saturating_add(len);
        queued == 0
            || (queued <= OUTBOX_HIGH_WATER
                && after <= self.limit
                && (len >= SHARE_FROM || after <= OUTBOX_HIGH_WATER || self.total.has_room(len)))
    }
}

#[cfg(test)]
mod tests;
