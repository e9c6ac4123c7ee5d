//! The bytes that all outboxes of a server hold together, and their limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// No sender waits for room.
const NO_SENDER: usize = usize::MAX;

/// Counts the bytes that all outboxes of a server hold together.
///
/// Beyond the limit each outbox takes messages up to the high-water mark, and a message of any length is taken where
/// nothing is queued at all. So the total never exceeds the limit plus one high-water mark for each connection.
///
/// An outbox below the high-water mark counts in [steps](super::uncounted::STEP), so the total may lack less than a
/// step of each outbox. A step is part of the high-water mark, up to which each outbox takes messages anyway.
#[derive(Debug)]
pub(crate) struct OutboxBudget {
    /// The queued bytes, and those of the chunks of broadcasts. Briefly below zero when a part of a broadcast is
    /// written before it is counted.
    counted: AtomicIsize,
    /// The bytes of the chunks of broadcasts.
    chunks: AtomicIsize,
    /// The peak.
    most: AtomicIsize,
    limit: usize,
    /// The number of outboxes.
    outboxes: AtomicUsize,
    /// The length of the shortest message that a sender waits to queue, or `NO_SENDER`.
    awaited: AtomicUsize,
    /// Tells the waiting senders that one of them may have room.
    room: Notify,
    /// The length of the last message that found no room.
    rejected: AtomicUsize,
}

impl OutboxBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let [counted, chunks, most] = [const { AtomicIsize::new(0) }; 3];
        Arc::new(Self {
            counted,
            chunks,
            most,
            limit,
            outboxes: AtomicUsize::new(0),
            awaited: AtomicUsize::new(NO_SENDER),
            room: Notify::new(),
            rejected: AtomicUsize::new(0),
        })
    }

    #[cfg(test)]
    pub(super) fn counted_bytes(&self) -> isize {
        self.counted.load(Ordering::Relaxed)
    }

    /// The limit, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The queued bytes.
    pub(crate) fn queued(&self) -> usize {
        let chunks = self.chunks.load(Ordering::Relaxed);
        usize::try_from(self.counted.load(Ordering::Relaxed) - chunks).unwrap_or(0)
    }

    /// The peak of the queued bytes.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(self.most.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether there is no room for a further byte.
    pub(super) fn is_full(&self) -> bool {
        self.exceeded_by(self.counted.load(Ordering::Relaxed), 1)
    }

    /// Whether there is room for `len` bytes more.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        // Sequentially consistent, as is the load of `awaited` in `subtract`: one of the two sees the other's change.
        !self.exceeded_by(self.counted.load(Ordering::SeqCst), len) || self.queued() == 0
    }

    fn exceeded_by(&self, counted: isize, len: usize) -> bool {
        usize::try_from(counted).unwrap_or(0).saturating_add(len) > self.limit
    }

    /// Counts `len` bytes, if they have room or `must` be counted, and says whether it did.
    pub(super) fn reserve(&self, len: usize, must: bool) -> bool {
        let counted = self.counted.fetch_add(len.cast_signed(), Ordering::Relaxed) + len.cast_signed();
        if !must && self.exceeded_by(counted, 0) && self.queued() > len {
            self.subtract(len);
            self.reject(len);
            return false;
        }
        // Mostly the peak is higher, and nothing is written.
        let most = self.most.load(Ordering::Relaxed);
        if counted > most {
            let queued = counted - self.chunks.load(Ordering::Relaxed);
            if queued > most {
                self.most.fetch_max(queued, Ordering::Relaxed);
            }
        }
        true
    }

    pub(super) fn add(&self, len: usize) {
        self.reserve(len, true);
    }

    pub(super) fn subtract(&self, len: usize) {
        let counted = self.counted.fetch_sub(len.cast_signed(), Ordering::SeqCst) - len.cast_signed();
        let awaited = self.awaited.load(Ordering::SeqCst);
        if awaited != NO_SENDER && (!self.exceeded_by(counted, awaited) || self.queued() == 0) {
            // Senders that still find no room will register again.
            self.awaited.store(NO_SENDER, Ordering::SeqCst);
            self.room.notify_waiters();
        }
    }

    /// Counts `more` bytes of a chunk of broadcasts.
    pub(super) fn chunk_grows(&self, more: usize) {
        self.chunks.fetch_add(more.cast_signed(), Ordering::Relaxed);
        self.counted.fetch_add(more.cast_signed(), Ordering::Relaxed);
    }

    /// Counts a chunk of `len` bytes no longer.
    pub(super) fn chunk_goes(&self, len: usize) {
        self.chunks.fetch_sub(len.cast_signed(), Ordering::Relaxed);
        self.subtract(len);
    }

    // When it is full

    /// Notes that a message of this length found no room.
    pub(crate) fn reject(&self, len: usize) {
        self.rejected.store(len, Ordering::Relaxed);
    }

    /// Whether a message that lately found no room still has none.
    pub(super) fn is_pressed(&self) -> bool {
        let rejected = self.rejected.load(Ordering::Relaxed);
        if rejected == 0 {
            return false;
        }
        let is_pressed = !self.has_room(rejected);
        if !is_pressed {
            self.rejected.store(0, Ordering::Relaxed);
        }
        is_pressed
    }

    /// The limit divided by the number of outboxes. An outbox within its share is never closed for lack of room.
    pub(super) fn share(&self) -> usize {
        self.limit / self.outboxes.load(Ordering::Relaxed).max(1)
    }

    pub(super) fn outbox_comes(&self) {
        self.outboxes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn outbox_goes(&self) {
        self.outboxes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until there may be room for `len` bytes, if there is none.
    pub(crate) async fn wait_for_room(&self, len: usize) {
        let mut room = std::pin::pin!(self.room.notified());
        // From here on no notification is missed.
        room.as_mut().enable();
        self.reject(len);
        self.awaited.fetch_min(len, Ordering::SeqCst);
        if !self.has_room(len) {
            room.await;
        }
    }
}
