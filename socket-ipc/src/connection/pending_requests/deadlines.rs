//! The deadlines of pending requests. One task keeps them all, and its timer is set for the earliest. Most replies arrive
//! long before, and a timer for each request would cost more than the request.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::{NoReply, PendingRequests, Requester, Waiting};
use crate::sync::lock;

impl PendingRequests {
    /// Makes the task check the deadlines at this one at the latest.
    pub(super) fn keep(self: &Arc<Self>, waiting: &mut Waiting, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        match waiting.kept_until {
            Some(until) if until <= deadline => return,
            Some(_) => self.earlier.notify_one(),
            None => drop(self.runtime.spawn(Arc::clone(self).keep_deadlines())),
        }
        waiting.kept_until = Some(deadline);
    }

    /// Fails the requests whose deadlines pass, until none waits.
    async fn keep_deadlines(self: Arc<Self>) {
        while let Some(next) = self.pass_deadlines() {
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Fails the requests whose deadlines have passed, and returns the next deadline.
    fn pass_deadlines(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut waiting = lock(&self.waiting);
        let is_over = |requester: &Requester| requester.deadline.is_some_and(|deadline| deadline <= now);
        let over: Vec<_> = waiting.requesters.extract_if(|_, requester| is_over(requester)).collect();
        if waiting.requesters.is_empty() {
            // The memory of many past requests is freed.
            waiting.requesters.shrink_to_fit();
        }
        self.counted(&waiting);
        waiting.kept_until = waiting.requesters.values().filter_map(|requester| requester.deadline).min();
        let next = waiting.kept_until;
        drop(waiting);
        // Sending wakes the requesters: without the lock.
        for (id, requester) in over {
            self.cancel(id, &requester);
            requester.fail(NoReply::TimedOut);
        }
        next
    }
}
