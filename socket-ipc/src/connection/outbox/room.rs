//! Room in the outbox, and senders that wait for it.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::{CloseCommand, Outbox, Patience, PushError};
use crate::events::CloseCause;
use crate::limits::OUTBOX_HIGH_WATER;
use crate::sync::lock;

/// Whether a paced sender may queue a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// The outbox itself has no room.
    Full,
    /// All outboxes together have no room.
    TotalFull,
}

impl Outbox {
    /// Whether a paced sender may queue `len` bytes more.
    #[inline]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        let after = self.queued.load(Ordering::Acquire).saturating_add(len);
        after <= OUTBOX_HIGH_WATER.min(self.limit) || self.room_for(len) == Room::Free
    }

    fn room_for(&self, len: usize) -> Room {
        if !self.has_own_room(len) {
            Room::Full
        } else if self.takes_over_total(len) || self.total.has_room(len) {
            Room::Free
        } else {
            Room::TotalFull
        }
    }

    /// Whether a paced sender may queue `len` bytes more, regardless of the total.
    pub(crate) fn has_own_room(&self, len: usize) -> bool {
        let queued = self.queued.load(Ordering::Acquire);
        queued == 0 || (queued <= OUTBOX_HIGH_WATER && queued.saturating_add(len) <= self.limit)
    }

    /// Whether it takes `len` bytes more even when all outboxes together have no room.
    pub(crate) fn takes_over_total(&self, len: usize) -> bool {
        self.queued.load(Ordering::Acquire).saturating_add(len) <= OUTBOX_HIGH_WATER
    }

    /// Waits until a paced sender may queue `len` bytes; `Err` once the connection has ended.
    pub(crate) async fn wait_for_room(&self, len: usize) -> Result<(), PushError> {
        loop {
            self.wait_until(|outbox| outbox.room_for(len) != Room::Full).await?;
            if self.room_for(len) == Room::TotalFull {
                // Stops waiting also when the connection ends.
                let mut ended = std::pin::pin!(self.wait_until(|outbox| outbox.takes_over_total(len)));
                let mut room = std::pin::pin!(self.total.wait_for_room(len));
                poll_fn(|cx| {
                    if ended.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { room.as_mut().poll(cx) }
                })
                .await;
            }
            if self.has_ended() {
                return Err(PushError::Ended);
            }
            if self.room_for(len) == Room::Free {
                return Ok(());
            }
        }
    }

    // Slow consumers:

    /// How much longer paced broadcasts wait for its peer; `None` is not at all.
    pub(crate) fn patience(&self, patience: Duration) -> Option<Duration> {
        let mut queue = lock(&self.queue);
        let patience = Patience { time: patience, price: self.limit };
        queue.pace.get_or_insert_default().patience(patience, self.handed.load(Ordering::Relaxed))
    }

    /// Whether paced broadcasts do not wait for its peer.
    pub(crate) fn is_left_behind(&self) -> bool {
        lock(&self.queue).pace.as_ref().is_some_and(|pace| pace.is_left_behind())
    }

    /// Counts that a paced broadcast has waited for its peer.
    pub(crate) fn was_waited_for(&self, from: Instant, to: Instant) {
        lock(&self.queue).pace.get_or_insert_default().was_waited_for(from, to);
    }

    /// Whether its connection is to be closed when all outboxes together have no room: the peer has been behind for
    /// `stall`, and holds more than its share.
    pub(crate) fn is_to_blame(&self, now: Instant, stall: Duration) -> bool {
        let queue = lock(&self.queue);
        queue.len.saturating_add(queue.held) > self.total.share()
            && queue.pace.as_ref().is_some_and(|pace| pace.is_behind(now, stall))
    }

    /// Notes that the stream takes no more. Aborts the connection if others have no room because of it.
    pub(in crate::connection) fn blocked(&self, now: Instant, stall: Duration) {
        lock(&self.queue).pace.get_or_insert_default().blocked(now);
        if self.total.is_pressed() && self.is_to_blame(now, stall) {
            self.close(CloseCommand::Abort(CloseCause::SlowClient));
        }
    }
}
