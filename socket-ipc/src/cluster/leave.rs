//! How a node leaves its domain, and how its tasks end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Cluster;
use super::shared::Shared;
use crate::error::error_reply::ErrorReply;
use crate::sync::lock;

/// How often it looks whether everything is done.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The goodbye is said by the task that publishes broadcasts and beats, as its last act: after it no sign of this node
/// comes.
#[derive(Default)]
pub(super) struct Goodbye {
    pub(super) now: Notify,
    pub(super) said: Notify,
}

/// The error reply where a stream ends, or does not begin, because this node leaves.
pub(super) fn closing() -> ErrorReply {
    ErrorReply::new(ErrorReply::CLOSING, "the node that has the stream leaves the domain")
}

impl<P> Cluster<P> {
    /// Leaves the domain: finishes the requests in flight, those of other nodes and of this one, and what is queued, for
    /// `drain` of the server at most, and says goodbye. Streams end at once, as where a server closes: those of this node
    /// with `Left`, and those that it replies with by an error reply with the code
    /// [`CLOSING`](crate::ErrorReply::CLOSING).
    ///
    /// From the call on nothing new begins: requests of other nodes go to others that offer the topic, and what this node would broadcast,
    /// send, request, offer or forward fails with `Left`. Requests that its clients want forwarded get an error reply with
    /// the code `link_down`. The server and its clients go on. It may be called any number of times.
    pub async fn leave(&self) {
        self.shared.leave().await;
    }
}

impl Shared {
    pub(super) async fn leave(&self) {
        if self.has_left.load(Ordering::Acquire) {
            return;
        }
        self.leaving.store(true, Ordering::Release);
        self.offers.end();
        // A stream may be endless: as where a server closes, it ends now.
        self.pending.end_streams();
        let drained = async {
            let is_done = || self.taken.is_empty() && self.pending.is_empty() && self.outgoing.is_empty();
            loop {
                // One may have been on its way here.
                for reply in self.taken.cancel_streams() {
                    self.end_with(reply, &closing()).await;
                }
                if self.offers.are_closed() && is_done() {
                    return;
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        // What is not done by then is lost, as it is when a server closes.
        let _ = tokio::time::timeout(self.server.limits().drain, drained).await;
        if self.has_left.swap(true, Ordering::AcqRel) {
            return;
        }
        self.goodbye.now.notify_one();
        // An error means that the NATS server takes nothing: the other nodes notice the silence.
        let _ = tokio::time::timeout(GOODBYE, self.goodbye.said.notified()).await;
        self.end();
    }

    /// Whether leaving has begun.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Ends everything at once.
    pub(super) fn end(&self) {
        self.leaving.store(true, Ordering::Release);
        self.has_left.store(true, Ordering::Release);
        self.offers.end();
        self.outgoing.end();
        self.groups.end();
        let forwarders = std::mem::take(&mut *lock(&self.forwarders));
        for forwarder in forwarders {
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
