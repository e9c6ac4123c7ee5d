//! An outbox without a session. The submodules test its parts.

mod broadcast;
mod budget;
mod pace;
mod replies;
mod room;
mod session;

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::broadcast::SHARE_FROM;
use super::replies::{HELD_REPLIES, SHORT_REPLY};
use super::uncounted::STEP;
use super::{
    BroadcastLog, CloseCommand, Outbox, OutboxBudget, PushError, Replied, Segment, Unsent, counted_for,
};
use crate::events::CloseCause;
use crate::limits::OUTBOX_HIGH_WATER;
use crate::metrics::Metrics;
use crate::topic::TopicName;
use crate::wire::Wire;

/// So many clients that a broadcast is shared between them.
const CLIENTS: usize = 2;

fn outbox(limit: usize, total: usize) -> Outbox {
    Outbox::new(limit, OutboxBudget::new(total), Metrics::new())
}

impl Outbox {
    /// Queues a message of a topic that does not matter.
    fn queue_up(&self, message: &[u8]) -> Result<(), PushError> {
        self.push(message, TopicName::AtRunTime("any"))
    }
}

fn message(len: usize) -> Vec<u8> {
    [vec![b'x'; len - 1], vec![b'\n']].concat()
}

/// Takes everything that is queued, as if all of it had been written.
fn drain(outbox: &Outbox) -> Vec<Segment> {
    std::iter::from_fn(|| outbox.take())
        .inspect(|segment| outbox.written(segment, segment.bytes().len(), true))
        .collect()
}

fn bytes_of(segments: &[Segment]) -> Vec<u8> {
    segments.iter().flat_map(Segment::bytes).copied().collect()
}

/// The bytes that the total counts. They are exact for these outboxes, which settle first.
fn queued<O: Borrow<Outbox>>(total: &OutboxBudget, outboxes: impl IntoIterator<Item = O>) -> usize {
    outboxes.into_iter().for_each(|outbox| outbox.borrow().settle());
    total.queued()
}

/// A waker that counts its wake-ups.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Outboxes that share a total limit of `limit` bytes.
fn outboxes<const COUNT: usize>(limit: usize) -> (Arc<OutboxBudget>, [Outbox; COUNT]) {
    let total = OutboxBudget::new(limit);
    let outboxes = [(); COUNT].map(|()| Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new()));
    (total, outboxes)
}

const MANY: usize = 16 * OUTBOX_HIGH_WATER;
