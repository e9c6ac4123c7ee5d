//! The send queue of a connection, bounded in bytes.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use tokio::sync::Notify;

use self::broadcast::Body;
pub(crate) use self::broadcast::{Broadcast, BroadcastLog, counted_for};
pub(crate) use self::budget::OutboxBudget;
use self::contents::Contents;
pub(crate) use self::contents::Segment;
use self::latest::Deferred;
pub(crate) use self::latest::{LatestBroadcast, Placed};
use self::pace::Pace;
use self::pace::Patience;
pub(super) use self::replies::{HeldReply, Replied};
use self::uncounted::Uncounted;
use crate::events::CloseCause;
use crate::limits::OUTBOX_HIGH_WATER;
use crate::metrics::Metrics;
use crate::sync::lock;
use crate::topic::TopicName;

mod broadcast;
mod budget;
mod contents;
mod latest;
mod pace;
mod replies;
mod room;
mod session;
mod uncounted;

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// The connection has ended or is about to end.
    Ended,
    Full {
        queued: usize,
    },
    /// All outboxes together have no room for it.
    TotalFull,
}

/// How the session is told to end its connection.
#[derive(Clone, Debug)]
pub(crate) enum CloseCommand {
    /// Write what is queued, then end.
    Drain(CloseCause),
    /// End now.
    Abort(CloseCause),
}

/// The messages that were queued and not handed to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// The queue between the senders and the session that writes.
///
/// The order of the fields matters: each message that is sent changes the first ones, and the session reads the last
/// ones for each message that it dispatches. More than a cache line is between them. So a sender and a session on two
/// processors do not wait for what the other has just written.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// The length of the queue in bytes, readable without the lock.
    queued: AtomicUsize,
    /// Whether the session sleeps with nothing to write, and has to be woken for a new message. Set under the lock, by
    /// `park`.
    idle: AtomicBool,
    /// Tells waiting senders that there may be room, or that the connection has ended.
    room: Notify,
    limit: usize,
    total: Arc<OutboxBudget>,
    metrics: Arc<Metrics>,
    /// How many bytes have been handed to the kernel since the connection began.
    handed: AtomicU64,
    /// The queue takes no more messages.
    ended: AtomicBool,
    /// The session has been told to end.
    told_to_close: AtomicBool,
    /// Replies have filled it over its limit, waiting ones included.
    overfull: AtomicBool,
    /// The peer reads no more.
    broken: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    contents: Contents,
    /// Bytes queued, including those that the session is writing, and those that are deferred.
    len: usize,
    /// Messages queued, including those of the segment that the session is writing, and those that are deferred.
    messages: u64,
    /// The messages that wait until there is room, if any do.
    deferred: Option<Box<Deferred>>,
    uncounted: Uncounted,
    /// The messages left when the queue was given up.
    unsent: Option<Unsent>,
    /// Bytes of replies that wait for room, and are not in the queue.
    held: usize,
    /// Made when the stream first takes no more.
    pace: Option<Box<Pace>>,
    /// The value of `handed` that the last `flush` waits for.
    flush_to: u64,
    close_command: Option<CloseCommand>,
    /// The session has to be polled before it sleeps.
    roused: bool,
    /// The session, while it sleeps.
    session: Option<Waker>,
}

impl Outbox {
    pub(crate) fn new(limit: usize, total: Arc<OutboxBudget>, metrics: Arc<Metrics>) -> Self {
        total.outbox_comes();
        Self {
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            room: Notify::new(),
            limit,
            total,
            metrics,
            handed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            told_to_close: AtomicBool::new(false),
            overfull: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        }
    }

    /// The bytes that all outboxes together hold, and their limit.
    pub(crate) fn total(&self) -> (usize, usize) {
        (self.total.queued(), self.total.limit())
    }

    /// The limit of the queue, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the outbox takes no more, because the connection has ended or is about to end.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Queues an encoded message, if it fits, and counts it. An empty outbox takes any.
    pub(crate) fn push(&self, message: &[u8], topic: TopicName<'_>) -> Result<(), PushError> {
        let topic = self.metrics.index_of(topic);
        let mut queue = lock(&self.queue);
        self.check(&queue, message.len())?;
        if !self.reserve(&mut queue, message.len(), false) {
            return Err(PushError::TotalFull);
        }
        queue.uncounted.sent(topic, message.len(), &self.metrics);
        queue.contents.append(message);
        self.pushed(queue, message.len());
        Ok(())
    }

    /// Queues an encoded message, if a paced sender may queue it, and counts it.
    pub(crate) fn push_paced(&self, message: &[u8], topic: TopicName<'_>) -> Result<(), PushError> {
        if !self.has_room(message.len()) {
            return Err(PushError::Full { queued: self.queued.load(Ordering::Acquire) });
        }
        self.push(message, topic)
    }

    /// Counts bytes that are about to be queued, and says whether it did. It does so if the total has room for them, or
    /// if they `must` be queued. Bytes below the high-water mark must be queued, and are counted in steps.
    #[inline(always)]
    fn reserve(&self, queue: &mut Queue, len: usize, must: bool) -> bool {
        if is_below_high_water(queue, len) {
            queue.uncounted.queued(len, &self.total);
            return true;
        }
        self.reserve_beyond_high_water(queue, len, must)
    }

    fn reserve_beyond_high_water(&self, queue: &mut Queue, len: usize, must: bool) -> bool {
        queue.uncounted.settle_queued(&self.total);
        self.total.reserve(len, must)
    }

    /// Adds to the total and to the metrics what they lack.
    pub(crate) fn settle(&self) {
        let queue = &mut *lock(&self.queue);
        queue.uncounted.settle_queued(&self.total);
        queue.uncounted.settle_sent(&self.metrics);
    }

    /// Queues a broadcast, if it fits. A `paced` broadcast is queued even if it does not fit, unless paced broadcasts
    /// do not wait for its peer any more. The caller has checked the total for all outboxes at once.
    // A broadcast to all clients and one to a group each call it once for every outbox.
    #[inline(always)]
    pub(crate) fn push_broadcast(&self, broadcast: &Broadcast<'_>, paced: bool) -> Result<(), PushError> {
        let mut queue = lock(&self.queue);
        match self.check(&queue, broadcast.bytes().len()) {
            Err(PushError::Full { .. })
                if paced && !queue.pace.as_ref().is_some_and(|pace| pace.is_left_behind()) => {}
            checked => checked?,
        }
        queue.append_broadcast(broadcast);
        self.pushed(queue, broadcast.bytes().len());
        Ok(())
    }

    /// Whether the peer reads no more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Whether replies have filled it over its limit.
    pub(super) fn is_overfull(&self) -> bool {
        self.overfull.load(Ordering::Acquire)
    }

    fn check(&self, queue: &Queue, len: usize) -> Result<(), PushError> {
        if self.has_ended() {
            return Err(PushError::Ended);
        }
        if queue.len > 0 && queue.len.saturating_add(len) > self.limit {
            return Err(PushError::Full { queued: queue.len });
        }
        Ok(())
    }

    fn pushed(&self, mut queue: MutexGuard<'_, Queue>, len: usize) {
        queue.messages += 1;
        self.pushed_uncounted(queue, len);
    }

    fn pushed_uncounted(&self, mut queue: MutexGuard<'_, Queue>, len: usize) {
        queue.len += len;
        self.queued.store(queue.len, Ordering::Release);
        let session = if self.idle.load(Ordering::Relaxed) { queue.session.take() } else { None };
        drop(queue);
        if let Some(session) = session {
            session.wake();
        }
    }

    /// Waits until `done` holds, which is checked after each write; `Err` once the connection has ended.
    pub(crate) async fn wait_until(&self, done: impl Fn(&Self) -> bool) -> Result<(), PushError> {
        // Mostly there is nothing to wait for, and nothing has to be registered.
        if !self.has_ended() && done(self) {
            return Ok(());
        }
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on no notification is missed.
            room.as_mut().enable();
            if self.has_ended() {
                return Err(PushError::Ended);
            }
            if done(self) {
                return Ok(());
            }
            room.await;
        }
    }

    /// Waits until the bytes queued by now have been handed to the kernel; `Err` once the connection has ended.
    pub(crate) async fn flush(&self) -> Result<(), PushError> {
        let until = {
            let mut queue = lock(&self.queue);
            // Does not wait for later messages: other senders may never stop.
            queue.flush_to = self.handed.load(Ordering::Relaxed) + queue.queued_len() as u64;
            queue.flush_to
        };
        self.wait_until(|outbox| outbox.handed.load(Ordering::Acquire) >= until).await
    }

    /// Whether everything queued has been handed to the kernel.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued.load(Ordering::Acquire) == 0
    }

    /// Tells the session to end the connection. An abort replaces a drain; otherwise the first command counts.
    pub(crate) fn close(&self, command: CloseCommand) {
        let mut queue = lock(&self.queue);
        if queue.close_command.is_none()
            || matches!(
                (&queue.close_command, &command),
                (Some(CloseCommand::Drain(_)), CloseCommand::Abort(_))
            )
        {
            queue.close_command = Some(command);
        }
        self.told_to_close.store(true, Ordering::Release);
        self.ended.store(true, Ordering::Release);
        let session = queue.session.take();
        drop(queue);
        if let Some(session) = session {
            session.wake();
        }
        self.room.notify_waiters();
    }

    /// Wakes the session for something other than queued messages.
    pub(crate) fn rouse(&self) {
        let mut queue = lock(&self.queue);
        queue.roused = true;
        let session = queue.session.take();
        drop(queue);
        if let Some(session) = session {
            session.wake();
        }
    }
}

impl Queue {
    /// Appends a broadcast that the caller has found room for, and accounts for afterwards.
    fn append_broadcast(&mut self, broadcast: &Broadcast<'_>) {
        match broadcast.body() {
            Body::Long(shared) => self.contents.share(shared),
            Body::Short(span) => {
                if !span.as_ref().is_some_and(|span| self.contents.extend(span)) {
                    self.contents.append(broadcast.bytes());
                }
                broadcast.count();
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.total.outbox_goes();
    }
}

/// Whether the outbox takes `len` bytes more regardless of the total.
fn is_below_high_water(queue: &Queue, len: usize) -> bool {
    queue.len.saturating_add(len) <= OUTBOX_HIGH_WATER
}

#[cfg(test)]
mod tests;
