//! The broadcasts that wait for the NATS server, and their way into few NATS messages.
//!
//! What is queued for one topic, and one group, while something is being published becomes one NATS message of several lines. The order
//! of all broadcasts of this node is kept: a batch ends where another topic begins.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::sync::lock;

/// The longest batch, in bytes, unless a single broadcast is longer.
const BATCH_LEN: usize = 64 * 1024;

/// What a batch costs beside its lines, in bytes.
const BATCH_COST: usize = 256;

pub(super) struct Outgoing {
    queue: Mutex<Queue>,
    limit: usize,
    /// Wakes the publisher.
    filled: Notify,
    /// Wakes the paced senders.
    emptied: Notify,
    /// Nothing is taken out any more.
    ended: AtomicBool,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    len: usize,
}

/// Broadcasts of one topic: a line each.
pub(super) struct Batch {
    /// The group that they are for; `None` for all clients.
    pub(super) group: Option<Arc<str>>,
    pub(super) topic: String,
    pub(super) lines: Vec<u8>,
    pub(super) count: u64,
}

/// There is no room: this many bytes wait, and no more than `limit` may.
pub(super) struct Full {
    pub(super) queued: usize,
    pub(super) limit: usize,
}

impl Outgoing {
    pub(super) fn new(limit: usize) -> Self {
        let (filled, emptied) = (Notify::new(), Notify::new());
        Self { queue: Mutex::default(), limit, filled, emptied, ended: AtomicBool::new(false) }
    }

    /// Wakes the paced senders: there is no room to wait for.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.emptied.notify_waiters();
    }

    /// Queues the line of a broadcast. A batch grows no longer than `max_payload`.
    pub(super) fn push(
        &self,
        group: Option<&Arc<str>>,
        topic: &str,
        line: &[u8],
        max_payload: usize,
    ) -> Result<(), Full> {
        {
            let mut queue = lock(&self.queue);
            if queue.len > 0 && queue.len + line.len() > self.limit {
                return Err(Full { queued: queue.len, limit: self.limit });
            }
            let longest = BATCH_LEN.min(max_payload);
            match queue.batches.back_mut() {
                Some(last)
                    if last.topic == topic
                        && last.group.as_ref() == group
                        && last.lines.len() + line.len() <= longest =>
                {
                    last.lines.extend_from_slice(line);
                    last.count += 1;
                }
                _ => {
                    queue.len += BATCH_COST;
                    queue.batches.push_back(Batch {
                        group: group.map(Arc::clone),
                        topic: topic.to_owned(),
                        lines: line.to_vec(),
                        count: 1,
                    });
                }
            }
            queue.len += line.len();
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until this many bytes have room, or until the end.
    pub(super) async fn wait_for_room(&self, len: usize) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            let queued = lock(&self.queue).len;
            if queued == 0 || queued + len <= self.limit || self.ended.load(Ordering::Acquire) {
                return;
            }
            emptied.await;
        }
    }

    /// Takes the oldest batch, once there is one.
    pub(super) async fn next(&self) -> Batch {
        loop {
            if let Some(batch) = self.take() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    pub(super) fn take(&self) -> Option<Batch> {
        let batch = {
            let mut queue = lock(&self.queue);
            let batch = queue.batches.pop_front()?;
            queue.len -= batch.lines.len() + BATCH_COST;
            batch
        };
        self.emptied.notify_waiters();
        Some(batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.queue).batches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn batches(outgoing: &Outgoing) -> Vec<(String, usize, u64)> {
        std::iter::from_fn(|| outgoing.take())
            .map(|batch| (batch.topic, batch.lines.len(), batch.count))
            .collect()
    }

    #[test]
    fn lines_of_one_topic_are_one_batch_up_to_its_length() {
        let outgoing = Outgoing::new(usize::MAX);
        for topic in ["a", "a", "b", "a"] {
            assert!(outgoing.push(None, topic, &[b'x'; 10], usize::MAX).is_ok());
        }
        let batch = |topic: &str, len, count| (topic.to_owned(), len, count);
        assert_eq!(batches(&outgoing), [batch("a", 20, 2), batch("b", 10, 1), batch("a", 10, 1)]);
        for _ in 0..5 {
            assert!(outgoing.push(None, "a", &[b'x'; 30_000], usize::MAX).is_ok());
        }
        assert_eq!(batches(&outgoing), [batch("a", 60_000, 2), batch("a", 60_000, 2), batch("a", 30_000, 1)]);
        for _ in 0..3 {
            assert!(outgoing.push(None, "a", &[b'x'; 100], 200).is_ok());
        }
        assert_eq!(batches(&outgoing), [batch("a", 200, 2), batch("a", 100, 1)]);
        assert!(outgoing.is_empty());
    }

    #[test]
    fn batch_ends_where_another_group_begins() {
        let outgoing = Outgoing::new(usize::MAX);
        let [one, two] = ["one", "two"].map(Arc::<str>::from);
        for group in [Some(&one), Some(&one), Some(&two), None, Some(&two)] {
            assert!(outgoing.push(group, "a", b"x", usize::MAX).is_ok());
        }
        let groups: Vec<_> =
            std::iter::from_fn(|| outgoing.take()).map(|batch| (batch.group, batch.count)).collect();
        assert_eq!(groups, [(Some(one), 2), (Some(Arc::clone(&two)), 1), (None, 1), (Some(two), 1)]);
    }

    #[tokio::test]
    async fn outgoing_full_rejects_and_waits_for_room() {
        let outgoing = Outgoing::new(1000);
        assert!(outgoing.push(None, "a", &[b'x'; 5000], usize::MAX).is_ok(), "one always has room");
        let full = outgoing.push(None, "a", b"x", usize::MAX).unwrap_err();
        assert_eq!((full.queued, full.limit), (5000 + BATCH_COST, 1000));
        let mut room = std::pin::pin!(outgoing.wait_for_room(1));
        assert!(room.as_mut().now_or_never().is_none());
        assert_eq!(outgoing.next().await.count, 1);
        room.await;
        assert!(outgoing.push(None, "a", &[b'x'; 5000], usize::MAX).is_ok());
        let mut room = std::pin::pin!(outgoing.wait_for_room(1));
        assert!(room.as_mut().now_or_never().is_none());
        outgoing.end();
        assert!(room.now_or_never().is_some(), "there is none to wait for");
    }
}
