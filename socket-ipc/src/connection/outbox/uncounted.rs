//! What an outbox has counted under its own lock, and not yet added to the counters that all connections share.
//!
//! A sender holds that lock anyway, so counting here touches no further memory that other threads wait for.

use super::budget::OutboxBudget;
use crate::metrics::Metrics;

/// How many bytes of an outbox the total may lack. An outbox takes messages up to the high-water mark whatever the
/// total says, so the bound on all outboxes together holds without them.
pub(super) const STEP: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Uncounted {
    /// Queued bytes that the total lacks: fewer than a step.
    queued: usize,
    /// The topic of the last messages that were sent, and what the metrics lack of them.
    topic: usize,
    messages: u64,
    bytes: usize,
}

impl Uncounted {
    /// Counts queued bytes.
    #[inline]
    pub(super) fn queued(&mut self, len: usize, total: &OutboxBudget) {
        self.queued += len;
        if self.queued >= STEP {
            self.settle_queued(total);
        }
    }

    /// Adds to the total what it lacks.
    pub(super) fn settle_queued(&mut self, total: &OutboxBudget) {
        if self.queued > 0 {
            total.add(std::mem::take(&mut self.queued));
        }
    }

    /// Counts a message of the topic whose counters have this index.
    #[inline]
    pub(super) fn sent(&mut self, topic: usize, len: usize, metrics: &Metrics) {
        if self.topic != topic {
            self.settle_sent(metrics);
            self.topic = topic;
        }
        self.messages += 1;
        self.bytes += len;
    }

    /// Adds to the metrics what they lack.
    pub(super) fn settle_sent(&mut self, metrics: &Metrics) {
        if self.messages > 0 {
            metrics.add_sent(self.topic, std::mem::take(&mut self.messages), std::mem::take(&mut self.bytes));
        }
    }
}
