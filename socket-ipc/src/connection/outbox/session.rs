//! What the session calls: it takes what is queued, hands it to the kernel, and parks.

use std::sync::atomic::Ordering;
use std::task::Waker;

use super::broadcast::SHARE_FROM;
use super::{CloseCommand, Outbox, Segment, Unsent};
use crate::connection::buffer_pool::PROCESS_POOL;
use crate::limits::OUTBOX_HIGH_WATER;
use crate::sync::lock;
use crate::wire::{Wire, count_delimiters};

impl Outbox {
    /// Releases chunks of broadcasts of which the queue needs little.
    pub(in crate::connection) fn release_chunks(&self) {
        lock(&self.queue).contents.release_chunks();
    }

    /// Whether the session was told to end, and must call no further listener.
    pub(in crate::connection) fn is_told_to_close(&self) -> bool {
        self.told_to_close.load(Ordering::Acquire)
    }

    /// Takes the command that the session has not seen yet.
    pub(in crate::connection) fn take_close(&self) -> Option<CloseCommand> {
        if self.is_told_to_close() { lock(&self.queue).close_command.take() } else { None }
    }

    /// Takes no more messages from now on. Queued ones stay.
    pub(in crate::connection) fn end(&self) {
        // Under the lock, so that a concurrent sender either has queued its message or gets an error.
        let queue = lock(&self.queue);
        self.ended.store(true, Ordering::Release);
        drop(queue);
        self.room.notify_waiters();
    }

    /// Takes no more from now on, not even replies: nothing will be written.
    pub(in crate::connection) fn break_off(&self) {
        // Under the lock, so that a concurrent responder either has queued its reply or gets an error.
        let queue = lock(&self.queue);
        self.broken.store(true, Ordering::Release);
        self.overfull.store(false, Ordering::Release);
        drop(queue);
        self.end();
    }

    /// Takes the next segment to write.
    pub(in crate::connection) fn take(&self) -> Option<Segment> {
        // A message that is being queued at this moment is seen by `park`.
        if self.is_empty() {
            return None;
        }
        let first = {
            let mut queue = lock(&self.queue);
            // `written` subtracts these bytes from the total, so the total has to count them by now.
            queue.uncounted.settle_queued(&self.total);
            queue.contents.pop()?
        };
        if !matches!(first, Segment::Span(_)) || first.len() >= SHARE_FROM {
            return Some(first);
        }
        // Short broadcasts go out in one write with the messages after them. They are copied without the lock, so that
        // senders do not wait.
        let (mut bytes, mut messages, mut next) = (PROCESS_POOL.take(), 0, Some(first));
        while let Some(segment) = next {
            messages += segment.messages();
            segment.copy_to(&mut bytes);
            next = lock(&self.queue).contents.pop_short(OUTBOX_HIGH_WATER.saturating_sub(bytes.len()));
        }
        Some(Segment::Own { bytes, messages })
    }

    /// Accounts for `count` bytes of `segment` that were handed to the kernel, its last ones if it is `done`.
    pub(in crate::connection) fn written(&self, segment: &Segment, count: usize, done: bool) {
        self.total.subtract(segment.counted(count));
        let mut queue = lock(&self.queue);
        // Zero already, if the queue was given up meanwhile.
        queue.len = queue.len.saturating_sub(count);
        if done {
            queue.messages = queue.messages.saturating_sub(segment.messages());
        }
        if queue.deferred.is_some() {
            self.queue_deferred(&mut queue);
        }
        let len = queue.len;
        self.queued.store(len, Ordering::Release);
        // An empty outbox does not contribute to a full total.
        if len.saturating_add(queue.held) <= self.limit && (len == 0 || !self.total.is_full()) {
            self.overfull.store(false, Ordering::Release);
        }
        if len <= OUTBOX_HIGH_WATER
            && let Some(pace) = &mut queue.pace
        {
            pace.caught_up();
        }
        // Only the session changes it.
        let handed = self.handed.load(Ordering::Relaxed);
        self.handed.store(handed + count as u64, Ordering::Release);
        let flushing = handed < queue.flush_to;
        drop(queue);
        if len <= OUTBOX_HIGH_WATER || flushing {
            self.room.notify_waiters();
        }
    }

    /// Notes that the session is awake. When the socket has woken the session, its waker is still registered here. A
    /// message that one of its own listeners sends would use that waker, and the runtime would wake a second thread to
    /// poll the session once more.
    ///
    /// No wake-up is lost: until `park` checks the queue under the lock, no message needs one. A message that is queued
    /// before that check keeps the session awake. A message that is queued later takes the lock after `park`, and finds
    /// `idle` set again. This method takes no lock: a message that still finds `idle` set wakes the session once for
    /// nothing.
    pub(in crate::connection) fn unpark(&self) {
        self.idle.store(false, Ordering::Relaxed);
    }

    /// Registers the session to be woken when there is something to do. `false` if there is already. A `blocked`
    /// session waits for the socket to take what it writes.
    pub(in crate::connection) fn park(&self, session: &Waker, blocked: bool) -> bool {
        if !blocked && !self.is_empty() {
            return false;
        }
        let mut queue = lock(&self.queue);
        if std::mem::take(&mut queue.roused)
            || queue.close_command.is_some()
            || (!blocked && !queue.contents.is_empty())
        {
            return false;
        }
        self.idle.store(!blocked, Ordering::Relaxed);
        match &queue.session {
            Some(before) if before.will_wake(session) => {}
            _ => queue.session = Some(session.clone()),
        }
        true
    }

    /// Gives up the queue, and returns how much was unsent; `writing` is the segment that the session was writing. A
    /// second call returns the same: a close that does not wait for the session must report as much as the session.
    pub(crate) fn give_up(&self, wire: Wire, writing: Option<(Segment, usize)>) -> Unsent {
        self.end();
        let mut queue = lock(&self.queue);
        queue.uncounted.settle_queued(&self.total);
        queue.uncounted.settle_sent(&self.metrics);
        let left = writing.as_ref().map_or(0, |(segment, written)| segment.counted(segment.len() - written));
        if let Some(unsent) = queue.unsent {
            // The first call did not know what the session was writing.
            self.total.subtract(left);
            return unsent;
        }
        let mut unsent = Unsent { messages: queue.messages, bytes: queue.len as u64 };
        let queued = std::iter::from_fn(|| queue.contents.pop());
        let counted = left + queued.map(|segment| segment.counted(segment.len())).sum::<usize>();
        if let Some((segment, written)) = &writing {
            // A message counts as sent once its delimiter is. Segments begin at the start of a message.
            let sent = count_delimiters(wire, &segment.bytes()[..*written]) as u64;
            unsent.messages = unsent.messages.saturating_sub(sent);
        }
        (queue.len, queue.messages, queue.unsent) = (0, 0, Some(unsent));
        queue.deferred = None;
        self.queued.store(0, Ordering::Release);
        drop(queue);
        self.total.subtract(counted);
        self.room.notify_waiters();
        unsent
    }
}
