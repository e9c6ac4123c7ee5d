//! What all outboxes of a server hold together, and its bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// No sender waits for room.
const NOBODY: usize = usize::MAX;

/// What all outboxes of a server hold together, in bytes.
///
/// Beyond the limit each outbox takes as much as the high-water mark allows, and a message of any length is taken
/// where nothing is queued at all. So there is never more than the limit and a high-water mark for each connection.
#[derive(Debug)]
pub(crate) struct OutboxBudget {
    /// What is queued, and what the chunks of broadcasts take. Below zero for a moment where a part of a broadcast is
    /// written before it is counted.
    counted: AtomicIsize,
    /// What the chunks of broadcasts take.
    chunks: AtomicIsize,
    /// The most that there ever was.
    most: AtomicIsize,
    limit: usize,
    /// How many outboxes there are.
    outboxes: AtomicUsize,
    /// The length of the shortest message for which a sender waits, or `NOBODY`.
    awaited: AtomicUsize,
    /// Tells the senders that wait that there is room for one of them.
    room: Notify,
    /// The length of the message that last found no room.
    refused: AtomicUsize,
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
            awaited: AtomicUsize::new(NOBODY),
            room: Notify::new(),
            refused: AtomicUsize::new(0),
        })
    }

    #[cfg(test)]
    pub(super) fn counted_bytes(&self) -> isize {
        self.counted.load(Ordering::Relaxed)
    }

    /// The most that may be queued.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// What is queued.
    pub(crate) fn queued(&self) -> usize {
        let chunks = self.chunks.load(Ordering::Relaxed);
        usize::try_from(self.counted.load(Ordering::Relaxed) - chunks).unwrap_or(0)
    }

    /// The most that ever was.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(self.most.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether nothing more has room in it.
    pub(super) fn is_full(&self) -> bool {
        self.exceeded_by(self.counted.load(Ordering::Relaxed), 1)
    }

    /// Whether `len` bytes more have room in it.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        // Together with the look of `subtract` at `awaited`: one of the two sees what the other has done.
        !self.exceeded_by(self.counted.load(Ordering::SeqCst), len) || self.queued() == 0
    }

    fn exceeded_by(&self, counted: isize, len: usize) -> bool {
        usize::try_from(counted).unwrap_or(0).saturating_add(len) > self.limit
    }

    /// Counts `len` bytes, if they have room or `must` be; says whether it has.
    pub(super) fn reserve(&self, len: usize, must: bool) -> bool {
        let counted = self.counted.fetch_add(len.cast_signed(), Ordering::Relaxed) + len.cast_signed();
        if !must && self.exceeded_by(counted, 0) && self.queued() > len {
            self.subtract(len);
            self.refuse(len);
            return false;
        }
        // Mostly there was more before, and nothing is written.
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
        if awaited != NOBODY && (!self.exceeded_by(counted, awaited) || self.queued() == 0) {
            // Those for whom there is none will say so again.
            self.awaited.store(NOBODY, Ordering::SeqCst);
            self.room.notify_waiters();
        }
    }

    /// A chunk of broadcasts takes `more` bytes.
    pub(super) fn chunk_grows(&self, more: usize) {
        self.chunks.fetch_add(more.cast_signed(), Ordering::Relaxed);
        self.counted.fetch_add(more.cast_signed(), Ordering::Relaxed);
    }

    /// A chunk of broadcasts, which took `len` bytes, is gone.
    pub(super) fn chunk_goes(&self, len: usize) {
        self.chunks.fetch_sub(len.cast_signed(), Ordering::Relaxed);
        self.subtract(len);
    }

    // When it is full

    /// Notes that a message of this length found no room.
    pub(crate) fn refuse(&self, len: usize) {
        self.refused.store(len, Ordering::Relaxed);
    }

    /// Whether a message has lately found no room, for which there still is none.
    pub(super) fn is_pressed(&self) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        if refused == 0 {
            return false;
        }
        let is_pressed = !self.has_room(refused);
        if !is_pressed {
            self.refused.store(0, Ordering::Relaxed);
        }
        is_pressed
    }

    /// What an outbox may hold for none to have to go when there is no room: the limit, divided among all of them.
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
        self.refuse(len);
        self.awaited.fetch_min(len, Ordering::SeqCst);
        if !self.has_room(len) {
            room.await;
        }
    }
}
