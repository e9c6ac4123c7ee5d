//! The requests of this node that wait for a reply of another one, or for the items of a stream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::{Message, Subject};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::arriving_stream::{ArrivingStream, Step, StreamEnd};
use crate::connection::ItemQueue;
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
    /// Takes what is to be published for the nodes that have the requests. A request has one cancel, and a stream one
    /// renewal for each half of its window that is read: there are never many.
    controls: mpsc::UnboundedSender<Control>,
}

struct Waiting {
    awaits: Awaits,
    last_sign: Instant,
    /// Where the node that has the request takes controls; known from its first sign on.
    control: Option<Subject>,
}

enum Awaits {
    Reply(oneshot::Sender<Outcome>),
    Items(ArrivingStream),
}

/// What a requester says to the node that has its request.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) to: Subject,
    pub(super) says: Says,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Cancel,
    /// This many bytes of items may be sent in all.
    More(u64),
}

impl Pending {
    /// Returns the requests, and what is to be published for the nodes that have them.
    pub(super) fn new(limit: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Control>) {
        let (controls, to_publish) = mpsc::unbounded_channel();
        let pending = Self { next: AtomicU64::new(1), limit, waiting: Mutex::default(), controls };
        (Arc::new(pending), to_publish)
    }

    /// Registers a request. `Err` is the limit that is reached.
    pub(super) fn begin(self: &Arc<Self>) -> Result<PendingRequest, usize> {
        self.begin_within(self.limit)
    }

    /// Registers a request of the node itself, which needs no place. There are few.
    pub(super) fn begin_own(self: &Arc<Self>) -> Result<PendingRequest, usize> {
        self.begin_within(usize::MAX)
    }

    fn begin_within(self: &Arc<Self>, limit: usize) -> Result<PendingRequest, usize> {
        let (sender, reply) = oneshot::channel();
        let number = self.register(Awaits::Reply(sender), limit)?;
        Ok(PendingRequest { pending: Arc::clone(self), number, reply, settled: false })
    }

    /// Registers a request of a stream, whose items take this many bytes before more are asked for. `Err` is the limit
    /// that is reached.
    pub(super) fn begin_stream(self: &Arc<Self>, window: u64) -> Result<PendingStream, usize> {
        let stream = ArrivingStream::new(window);
        let items = Arc::clone(&stream.items);
        let number = self.register(Awaits::Items(stream), self.limit)?;
        Ok(PendingStream { pending: Arc::clone(self), number, items })
    }

    fn register(&self, awaits: Awaits, limit: usize) -> Result<u64, usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= limit {
            return Err(limit);
        }
        waiting.insert(number, Waiting { awaits, last_sign: Instant::now(), control: None });
        Ok(number)
    }

    /// The node that has the request is alive, and takes controls under this subject. `next` is the number of the next
    /// item of a stream that has begun.
    pub(super) fn sign(&self, number: u64, control: Option<Subject>, next: Option<u64>) {
        let mut waiting = lock(&self.waiting);
        let Some(request) = waiting.get_mut(&number) else {
            drop(waiting);
            // The requester gave up before the node that has the request was known.
            return self.tell(control, Says::Cancel);
        };
        request.last_sign = Instant::now();
        request.control = control.or(request.control.take());
        let Awaits::Items(stream) = &mut request.awaits else { return };
        // Also where it was said before: it may have been lost.
        if let Some(limit) = stream.granted {
            self.tell(request.control.clone(), Says::More(limit));
        }
        if let Some(next) = next {
            let step = stream.sign(next);
            let _ = self.after(waiting, number, step);
        }
    }

    /// Hands over a reply, or a part of a stream. `Err` says why it is refused.
    pub(super) fn reply(&self, number: u64, message: Message) -> Result<(), &'static str> {
        let mut waiting = lock(&self.waiting);
        match waiting.get_mut(&number) {
            None => {
                tracing::debug!(number, "a reply came over NATS that no request waits for");
                Ok(())
            }
            Some(Waiting { awaits: Awaits::Items(stream), last_sign, .. }) => {
                *last_sign = Instant::now();
                let step = stream.take(&message);
                self.after(waiting, number, step)
            }
            Some(Waiting { awaits: Awaits::Reply(_), .. }) => {
                let request = waiting.remove(&number);
                drop(waiting);
                if let Some(Waiting { awaits: Awaits::Reply(reply), .. }) = request {
                    // An error means that the requester gave up just now.
                    let _ = reply.send(Ok(message));
                }
                Ok(())
            }
        }
    }

    /// Acts on what became of a stream. Its reader is woken without the lock of the table: that wakes foreign code.
    fn after(
        &self,
        mut waiting: MutexGuard<'_, HashMap<u64, Waiting>>,
        number: u64,
        Step { reader, ended, is_told, refused }: Step,
    ) -> Result<(), &'static str> {
        let request = ended.as_ref().and_then(|_| waiting.remove(&number));
        drop(waiting);
        if let (Some(Waiting { awaits: Awaits::Items(stream), control, .. }), Some(end)) = (request, ended) {
            if is_told {
                self.tell(control, Says::Cancel);
            }
            stream.items.end(end);
        }
        if let Some(reader) = reader {
            reader.wake();
        }
        refused.map_or(Ok(()), Err)
    }

    fn tell(&self, control: Option<Subject>, says: Says) {
        if let Some(to) = control {
            // An error means that everything ends.
            let _ = self.controls.send(Control { to, says });
        }
    }

    /// This many bytes of the items of a stream may be sent in all.
    fn grant(&self, number: u64, limit: u64) {
        if let Some(Waiting { awaits: Awaits::Items(stream), control, .. }) =
            lock(&self.waiting).get_mut(&number)
        {
            stream.granted = Some(limit);
            self.tell(control.clone(), Says::More(limit));
        }
    }

    /// Ends all streams: this node leaves.
    pub(super) fn end_streams(&self) {
        let is_stream = |request: &Waiting| matches!(request.awaits, Awaits::Items(_));
        let ended: Vec<_> = lock(&self.waiting).extract_if(|_, request| is_stream(request)).collect();
        for (_, request) in ended {
            self.tell(request.control, Says::Cancel);
            if let Awaits::Items(stream) = request.awaits {
                stream.items.end(StreamEnd::Left);
            }
        }
    }

    /// Fails the requests whose nodes gave no sign for longer than `limit`.
    pub(super) fn fail_silent(&self, limit: Duration) {
        let now = Instant::now();
        let silent = |request: &Waiting| now.duration_since(request.last_sign) > limit;
        let mut failed: Vec<_> = lock(&self.waiting).extract_if(|_, request| silent(request)).collect();
        // The node may only have been out of reach.
        for (_, request) in &mut failed {
            self.tell(request.control.take(), Says::Cancel);
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
        self.tell(request.and_then(|request| request.control), Says::Cancel);
    }
}

/// Tells the requesters, without the lock of the table: that wakes foreign code.
fn fail(failed: impl IntoIterator<Item = (u64, Waiting)>, why: NoReply) {
    for (_, request) in failed {
        match request.awaits {
            Awaits::Reply(reply) => drop(reply.send(Err(why))),
            Awaits::Items(stream) => stream.items.end(StreamEnd::NoReply(why)),
        }
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

/// A request of a stream that was registered. Dropping it cancels the request.
pub(super) struct PendingStream {
    pending: Arc<Pending>,
    pub(super) number: u64,
    pub(super) items: Arc<ItemQueue<StreamEnd>>,
}

impl PendingStream {
    /// This many bytes of items may be sent in all.
    pub(super) fn grant(&self, limit: u64) {
        self.pending.grant(self.number, limit);
    }
}

impl Drop for PendingStream {
    fn drop(&mut self) {
        // A stream that has ended is forgotten already.
        self.pending.forget(self.number);
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
        pending.reply(first.number, message()).unwrap();
        pending.reply(first.number, message()).unwrap();
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
        pending.sign(signed.number, None, None);
        tokio::time::advance(Duration::from_secs(2)).await;
        pending.fail_silent(Duration::from_secs(3));
        assert_eq!(silent.outcome().await.unwrap_err(), NoReply::Lost);
        pending.reply(signed.number, message()).unwrap();
        assert!(signed.outcome().await.is_ok());
    }

    #[tokio::test]
    async fn request_given_up_tells_its_node_as_soon_as_that_is_known() {
        let (pending, mut cancels) = Pending::new(3);
        let [known, unknown] = [(); 2].map(|()| pending.begin().unwrap());
        pending.sign(known.number, Some("one".into()), None);
        drop(known);
        assert_eq!(cancels.try_recv().unwrap().to.as_str(), "one");
        let number = unknown.number;
        drop(unknown);
        assert!(cancels.try_recv().is_err());
        pending.sign(number, Some("two".into()), None);
        assert_eq!(cancels.try_recv().unwrap().to.as_str(), "two");
        assert!(lock(&pending.waiting).is_empty());
    }
}
