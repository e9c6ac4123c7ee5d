//! Replies: queued over the limit of the outbox, or waiting for room beside it.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use super::{Outbox, PushError, Queue};
use crate::limits::OUTBOX_HIGH_WATER;
use crate::sync::lock;

/// A reply of at most this length, in bytes, is always queued, so that an error reply finds room.
pub(super) const SHORT_REPLY: usize = 1024;

/// Waiting replies may take this many times the limit of the outbox.
pub(super) const HELD_REPLIES: usize = 8;

/// The result of queueing a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) enum Replied {
    Queued,
    /// The peer reads no more.
    Lost,
    /// All outboxes together have no room for it.
    TotalFull,
}

impl Outbox {
    /// Queues a reply, even over the limit of the outbox, while the connection is written to and the total has room.
    /// Over the limit no further request is dispatched, see [`is_overfull`](Self::is_overfull). A short reply is always
    /// queued.
    pub(in crate::connection) fn push_reply(&self, reply: &[u8]) -> Replied {
        let mut queue = lock(&self.queue);
        if queue.unsent.is_some() || self.is_broken() {
            return Replied::Lost;
        }
        if !self.reserve(&mut queue, reply.len(), reply.len() <= SHORT_REPLY) {
            return Replied::TotalFull;
        }
        self.reply_reserved(queue, reply);
        Replied::Queued
    }

    /// Queues a reply, if it fits. An empty outbox takes any.
    pub(in crate::connection) fn push_reply_within(&self, reply: &[u8]) -> Result<(), PushError> {
        let mut queue = lock(&self.queue);
        if queue.unsent.is_some() || self.is_broken() {
            return Err(PushError::Ended);
        }
        if queue.len > 0 && queue.len.saturating_add(reply.len()) > self.limit {
            return Err(PushError::Full { queued: queue.len });
        }
        if !self.reserve(&mut queue, reply.len(), false) {
            return Err(PushError::TotalFull);
        }
        self.reply_reserved(queue, reply);
        Ok(())
    }

    /// Queues a control line, however much is queued: there are never more control lines than requests that were in
    /// flight, and of a stream at most one renewal waits. Returns where it ends, in bytes since the connection began.
    pub(in crate::connection) fn push_control(&self, line: &[u8]) -> u64 {
        let mut queue = lock(&self.queue);
        if self.has_ended() || self.is_broken() {
            return 0;
        }
        self.reserve(&mut queue, line.len(), true);
        queue.contents.append_uncounted(line);
        let end = self.handed.load(Ordering::Relaxed) + (queue.len + line.len()) as u64;
        self.pushed_uncounted(queue, line.len());
        end
    }

    /// Whether at least this many bytes have been handed to the kernel since the connection began.
    pub(in crate::connection) fn has_handed(&self, bytes: u64) -> bool {
        self.handed.load(Ordering::Acquire) >= bytes
    }

    fn reply_reserved(&self, mut queue: MutexGuard<'_, Queue>, reply: &[u8]) {
        queue.contents.append(reply);
        let len = queue.len + reply.len();
        if len + queue.held > self.limit || (queue.len > 0 && self.total.is_full()) {
            self.overfull.store(true, Ordering::Release);
        }
        self.pushed(queue, reply.len());
    }

    /// Counts a reply that will wait for room. `Err` if too many wait already, or the total has no room.
    pub(in crate::connection) fn hold_reply(&self, reply: Vec<u8>) -> Result<HeldReply<'_>, PushError> {
        let mut queue = lock(&self.queue);
        let held = queue.held.saturating_add(reply.len());
        if queue.held > 0 && held > self.limit.saturating_mul(HELD_REPLIES) {
            return Err(PushError::Full { queued: queue.held });
        }
        if !self.total.reserve(reply.len(), held <= OUTBOX_HIGH_WATER) {
            return Err(PushError::TotalFull);
        }
        queue.held = held;
        if queue.len.saturating_add(held) > self.limit {
            self.overfull.store(true, Ordering::Release);
        }
        Ok(HeldReply { outbox: self, reply })
    }
}

/// A reply that waits for room, and is counted meanwhile.
#[derive(Debug)]
pub(in crate::connection) struct HeldReply<'o> {
    outbox: &'o Outbox,
    reply: Vec<u8>,
}

impl HeldReply<'_> {
    /// Queues it once there is room. An outbox that is about to end takes it at once: the drain still writes it.
    /// Returns its length, or `None` if the peer reads no more.
    pub(in crate::connection) async fn queue(mut self) -> Option<usize> {
        let (outbox, len) = (self.outbox, self.reply.len());
        // The total has counted it already.
        let _ = outbox.wait_until(|outbox| outbox.has_own_room(len)).await;
        let reply = std::mem::take(&mut self.reply);
        let mut queue = lock(&outbox.queue);
        queue.held -= len;
        if queue.unsent.is_some() || outbox.is_broken() {
            drop(queue);
            outbox.total.subtract(len);
            return None;
        }
        outbox.reply_reserved(queue, &reply);
        Some(len)
    }
}

impl Drop for HeldReply<'_> {
    fn drop(&mut self) {
        let len = self.reply.len();
        if len > 0 {
            lock(&self.outbox.queue).held -= len;
            self.outbox.total.subtract(len);
        }
    }
}
