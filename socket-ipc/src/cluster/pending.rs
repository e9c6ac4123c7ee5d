//! The requests of this node that wait for a reply of another one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Message, Subject};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::sync::lock;

/// Why no reply comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoReply {
    LinkDown,
    /// The node that has the request gave no sign of life for too long.
    Lost,
}

type Outcome = Result<Message, NoReply>;

pub(super) struct Pending {
    next: AtomicU64,
    limit: usize,
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Takes the subjects that a cancel is to be published to.
    cancels: mpsc::UnboundedSender<Subject>,
}

struct Waiting {
    reply: oneshot::Sender<Outcome>,
    last_sign: Instant,
    /// Where the node that has the request takes a cancel; known from its first sign on.
    control: Option<Subject>,
}

impl Pending {
    /// Returns the requests, and the subjects that a cancel is to be published to.
    pub(super) fn new(limit: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Subject>) {
        let (cancels, to_cancel) = mpsc::unbounded_channel();
        let pending = Self { next: AtomicU64::new(1), limit, waiting: Mutex::default(), cancels };
        (Arc::new(pending), to_cancel)
    }

    /// Registers a request. `Err` is the limit that is reached.
    pub(super) fn begin(self: &Arc<Self>) -> Result<PendingRequest, usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= self.limit {
            return Err(self.limit);
        }
        let request = Waiting { reply: sender, last_sign: Instant::now(), control: None };
        waiting.insert(number, request);
        Ok(PendingRequest { pending: Arc::clone(self), number, reply, settled: false })
    }

    /// The node that has the request is alive, and takes a cancel under this subject.
    pub(super) fn sign(&self, number: u64, control: Option<Subject>) {
        if let Some(request) = lock(&self.waiting).get_mut(&number) {
            request.last_sign = Instant::now();
            request.control = control.or(request.control.take());
        } else if let Some(control) = control {
            // The requester gave up before the node that has the request was known.
            let _ = self.cancels.send(control);
        }
    }

    pub(super) fn reply(&self, number: u64, message: Message) {
        self.settle(number, Ok(message));
    }

    fn settle(&self, number: u64, outcome: Outcome) {
        let request = lock(&self.waiting).remove(&number);
        match request {
            // An error means that the requester gave up just now.
            Some(request) => drop(request.reply.send(outcome)),
            None => tracing::debug!(number, "a reply came over NATS that no request waits for"),
        }
    }

    /// Fails the requests whose nodes gave no sign for longer than `limit`.
    pub(super) fn fail_silent(&self, limit: Duration) {
        let now = Instant::now();
        let silent = |request: &Waiting| now.duration_since(request.last_sign) > limit;
        let mut failed: Vec<_> = lock(&self.waiting).extract_if(|_, request| silent(request)).collect();
        // The node may only have been out of reach.
        for control in failed.iter_mut().filter_map(|(_, request)| request.control.take()) {
            let _ = self.cancels.send(control);
        }
        fail(failed, NoReply::Lost);
    }

    /// Begins the silence of all nodes anew: nothing could be received until now.
    pub(super) fn excuse_all(&self) {
        let now = Instant::now();
        for request in lock(&self.waiting).values_mut() {
            request.last_sign = now;
        }
    }

    /// Fails all requests: the connection is lost.
    pub(super) fn fail_all(&self) {
        let failed = std::mem::take(&mut *lock(&self.waiting));
        fail(failed, NoReply::LinkDown);
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }

    fn forget(&self, number: u64) {
        let request = lock(&self.waiting).remove(&number);
        if let Some(control) = request.and_then(|request| request.control) {
            let _ = self.cancels.send(control);
        }
    }
}

/// Tells the requesters, without the lock of the table: that wakes foreign code.
fn fail(failed: impl IntoIterator<Item = (u64, Waiting)>, why: NoReply) {
    for (_, request) in failed {
        let _ = request.reply.send(Err(why));
    }
}

/// A request that was registered. Dropping it cancels the request.
pub(super) struct PendingRequest {
    pending: Arc<Pending>,
    pub(super) number: u64,
    reply: oneshot::Receiver<Outcome>,
    settled: bool,
}

impl PendingRequest {
    pub(super) async fn outcome(mut self) -> Outcome {
        let outcome = (&mut self.reply).await;
        self.settled = true;
        // The sender sends an outcome before it is dropped, unless everything is.
        outcome.unwrap_or(Err(NoReply::LinkDown))
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if !self.settled {
            self.pending.forget(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            subject: "a".into(),
            reply: None,
            payload: "5".into(),
            headers: None,
            status: None,
            description: None,
            length: 1,
        }
    }

    #[tokio::test]
    async fn request_is_settled_once() {
        let (pending, _cancels) = Pending::new(2);
        let (first, second) = (pending.begin().unwrap(), pending.begin().unwrap());
        assert_eq!(pending.begin().err(), Some(2));
        pending.reply(first.number, message());
        pending.reply(first.number, message());
        assert_eq!(first.outcome().await.unwrap().payload.as_ref(), b"5");
        pending.fail_all();
        assert_eq!(second.outcome().await.unwrap_err(), NoReply::LinkDown);
        assert!(pending.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn request_without_sign_is_lost_and_signs_keep_it() {
        let (pending, _cancels) = Pending::new(2);
        let (silent, signed) = (pending.begin().unwrap(), pending.begin().unwrap());
        tokio::time::advance(Duration::from_secs(2)).await;
        pending.sign(signed.number, None);
        tokio::time::advance(Duration::from_secs(2)).await;
        pending.fail_silent(Duration::from_secs(3));
        assert_eq!(silent.outcome().await.unwrap_err(), NoReply::Lost);
        pending.reply(signed.number, message());
        assert!(signed.outcome().await.is_ok());
    }

    #[tokio::test]
    async fn request_given_up_tells_its_node_as_soon_as_that_is_known() {
        let (pending, mut cancels) = Pending::new(3);
        let [known, unknown] = [(); 2].map(|()| pending.begin().unwrap());
        pending.sign(known.number, Some("one".into()));
        drop(known);
        assert_eq!(cancels.try_recv().unwrap().as_str(), "one");
        let number = unknown.number;
        drop(unknown);
        assert!(cancels.try_recv().is_err());
        pending.sign(number, Some("two".into()));
        assert_eq!(cancels.try_recv().unwrap().as_str(), "two");
        assert!(lock(&pending.waiting).is_empty());
    }
}
