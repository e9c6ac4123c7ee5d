//! How a node leaves its domain, and how its tasks end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Cluster;
use super::shared::Shared;
use crate::sync::lock;

/// How often it looks whether everything is done.
const INTERVAL: Duration = Duration::from_millis(5);

impl<P> Cluster<P> {
    /// Leaves the domain: takes no further request, finishes those in flight and what is queued, for `drain` of the
    /// server at most, and says goodbye.
    ///
    /// The server and its clients go on. It may be called any number of times.
    pub async fn leave(&self) {
        self.shared.leave().await;
    }
}

impl Shared {
    pub(super) async fn leave(&self) {
        if self.has_left.load(Ordering::Acquire) {
            return;
        }
        self.offers.end();
        let drained = async {
            while !(self.taken.is_empty() && self.pending.is_empty() && self.outgoing.is_empty()) {
                tokio::time::sleep(INTERVAL).await;
            }
        };
        let deadline = Instant::now() + self.server.limits().drain;
        // What is not done by then is lost, as it is when a server closes.
        let _ = tokio::time::timeout_at(deadline, drained).await;
        if self.has_left.swap(true, Ordering::AcqRel) {
            return;
        }
        let goodbye = async {
            self.publish_beat(true).await;
            self.link.while_up(self.nats.flush()).await
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        self.end();
    }

    /// Ends everything at once.
    pub(super) fn end(&self) {
        self.has_left.store(true, Ordering::Release);
        self.offers.end();
        for forwarder in std::mem::take(&mut *lock(&self.forwarders)) {
            self.server.off(forwarder);
        }
        self.pending.fail_all();
        self.hub.end();
        // The last, as this may be one of them.
        lock(&self.tasks).abort_all();
    }

    /// Runs a task of this node, which ends with it.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        let handle = tasks.spawn_on(task, &self.runtime);
        if self.has_left.load(Ordering::Acquire) {
            handle.abort();
        }
        handle
    }
}
