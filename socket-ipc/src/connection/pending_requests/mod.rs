//! The requests that were sent over one connection and wait for their replies.

mod deadlines;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foldhash::fast::FixedState;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::control;
use super::item_queue::{ItemQueue, Stored};
use super::outbox::Outbox;
use crate::events::CloseCause;
use crate::sync::lock;
use crate::wire::{StreamPart, Wire, reply_at_end};

/// The outcome of a request: the envelope of its reply, as it arrived, or why there is none.
pub(super) type Outcome = Result<Box<[u8]>, NoReply>;

/// Why there is no reply.
#[derive(Clone, Debug)]
pub(crate) enum NoReply {
    /// Its deadline has passed.
    TimedOut,
    /// The connection has ended.
    Ended(CloseCause),
    /// It was over the limit, and was not stored.
    TooLong { size: u64, limit: usize },
    /// The connection was not read for long, because the inbox budget has no room.
    NoRoom { limit: usize },
}

/// Why a request can't be sent.
#[derive(Debug)]
pub(super) enum BeginError {
    /// As many requests as allowed wait for their replies.
    TooMany { limit: usize },
    /// The connection has ended.
    Ended(CloseCause),
}

/// The requesters and the replies that they wait for.
#[derive(Debug)]
pub(crate) struct PendingRequests {
    waiting: Mutex<Waiting>,
    /// How many wait, readable without the lock.
    count: AtomicUsize,
    limit: usize,
    /// Where cancels and renewals go; `None` on a wire without control lines.
    cancels: Option<Cancels>,
    /// Runs the task that keeps the deadlines.
    runtime: Handle,
    /// Tells that task that a deadline is earlier than it knew.
    earlier: Notify,
}

/// Where cancels and renewals go, and the wire that they are written for.
#[derive(Debug)]
pub(crate) struct Cancels {
    outbox: Arc<Outbox>,
    /// Shared by all connections of the endpoint: an idle connection has to be small.
    wire: Arc<Wire>,
}

impl Cancels {
    pub(crate) fn new(outbox: &Arc<Outbox>, wire: &Arc<Wire>) -> Option<Self> {
        wire.has_control_lines().then(|| Self { outbox: Arc::clone(outbox), wire: Arc::clone(wire) })
    }
}

#[derive(Debug)]
struct Waiting {
    requesters: HashMap<u64, Requester, FixedState>,
    next_id: u64,
    /// Until when the task that keeps the deadlines sleeps; `None` while there is no task.
    kept_until: Option<Instant>,
    /// Why no further reply comes.
    ended: Option<CloseCause>,
}

#[derive(Debug)]
struct Requester {
    awaits: Awaits,
    /// `None` is beyond the range of the clock.
    deadline: Option<Instant>,
    /// Whether the peer is told when nobody waits any more.
    is_cancelled: bool,
}

/// What a requester waits for.
#[derive(Debug)]
enum Awaits {
    Reply(oneshot::Sender<Outcome>),
    Items(Arc<ItemQueue>),
}

impl Requester {
    /// Tells that no reply comes. It wakes the requester: without a lock.
    fn fail(self, no_reply: NoReply) {
        match self.awaits {
            Awaits::Reply(reply) => drop(reply.send(Err(no_reply))),
            Awaits::Items(items) => items.end(no_reply),
        }
    }
}

impl PendingRequests {
    pub(crate) fn new(limit: usize, cancels: Option<Cancels>, runtime: Handle) -> Arc<Self> {
        let waiting = Waiting { requesters: HashMap::default(), next_id: 1, kept_until: None, ended: None };
        Arc::new(Self {
            waiting: Mutex::new(waiting),
            count: AtomicUsize::new(0),
            limit,
            cancels,
            runtime,
            earlier: Notify::new(),
        })
    }

    /// Registers a request that is about to be sent, and returns its number, which is unique in the connection.
    pub(super) fn begin(
        self: &Arc<Self>,
        timeout: Duration,
        is_cancelled: bool,
    ) -> Result<(u64, oneshot::Receiver<Outcome>), BeginError> {
        let (sender, receiver) = oneshot::channel();
        let id = self.register(Awaits::Reply(sender), timeout, is_cancelled)?;
        Ok((id, receiver))
    }

    /// Registers a request of a stream that is about to be sent, and returns its id. `timeout` is how long it may take
    /// to begin.
    pub(super) fn begin_stream(
        self: &Arc<Self>,
        items: Arc<ItemQueue>,
        timeout: Duration,
    ) -> Result<u64, BeginError> {
        self.register(Awaits::Items(items), timeout, true)
    }

    fn register(
        self: &Arc<Self>,
        awaits: Awaits,
        timeout: Duration,
        is_cancelled: bool,
    ) -> Result<u64, BeginError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut waiting = lock(&self.waiting);
        if let Some(cause) = &waiting.ended {
            return Err(BeginError::Ended(cause.clone()));
        }
        if waiting.requesters.len() >= self.limit {
            return Err(BeginError::TooMany { limit: self.limit });
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.requesters.insert(id, Requester { awaits, deadline, is_cancelled });
        self.counted(&waiting);
        self.keep(&mut waiting, deadline);
        Ok(id)
    }

    /// Gives a request another deadline, if it still waits, and says whether it does.
    pub(super) fn set_deadline(self: &Arc<Self>, id: u64, deadline: Option<Instant>) -> bool {
        let mut waiting = lock(&self.waiting);
        let Some(requester) = waiting.requesters.get_mut(&id) else { return false };
        requester.deadline = deadline;
        self.keep(&mut waiting, deadline);
        true
    }

    /// Removes a request that was not sent.
    pub(super) fn withdraw(&self, id: u64) {
        drop(self.take(id));
    }

    /// Removes a request whose reply is not awaited any longer, and tells the peer.
    pub(super) fn forget(&self, id: u64) {
        if let Some(requester) = self.take(id) {
            self.cancel(id, &requester);
        }
    }

    fn cancel(&self, id: u64, requester: &Requester) {
        if requester.is_cancelled {
            self.cancel_id(id);
        }
    }

    /// Tells the peer that nobody waits for the replies to a request any more.
    pub(super) fn cancel_id(&self, id: u64) {
        if let Some(Cancels { outbox, wire }) = &self.cancels {
            control::cancel(outbox, **wire, id);
        }
    }

    /// Tells the peer that the requester of a stream takes this many more bytes. Returns where the renewal ends in the
    /// outbox.
    pub(super) fn renew(&self, id: u64, bytes: u64) -> u64 {
        self.cancels.as_ref().map_or(0, |Cancels { outbox, wire }| control::more(outbox, **wire, id, bytes))
    }

    /// Whether the kernel has taken the renewal that ends there.
    pub(super) fn has_renewed(&self, end: u64) -> bool {
        self.cancels.as_ref().is_none_or(|cancels| cancels.outbox.has_handed(end))
    }

    /// Hands a reply, or a line of a stream, to the request that waits for it, and says whether one does.
    pub(super) fn resolve(&self, re: u64, envelope: &[u8]) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let mut waiting = lock(&self.waiting);
        let requester = match waiting.requesters.get_mut(&re) {
            None => return false,
            Some(Requester { awaits: Awaits::Reply(_), .. }) => waiting.requesters.remove(&re),
            Some(Requester { awaits: Awaits::Items(items), deadline, .. }) => {
                let (stored, reader) = items.store(self.part_of(envelope), envelope);
                // The deadline was for this line, which has arrived.
                *deadline = None;
                let requester = if stored == Stored::Open { None } else { waiting.requesters.remove(&re) };
                self.counted(&waiting);
                drop(waiting);
                if let Some(requester) = requester.filter(|_| stored == Stored::Aborted) {
                    self.cancel(re, &requester);
                }
                // Without the lock.
                if let Some(reader) = reader {
                    reader.wake();
                }
                return true;
            }
        };
        self.counted(&waiting);
        drop(waiting);
        match requester {
            Some(Requester { awaits: Awaits::Reply(reply), .. }) => reply.send(Ok(envelope.into())).is_ok(),
            _ => false,
        }
    }

    /// Where the items of this stream are stored, while it is requested.
    pub(super) fn items_of(&self, id: u64) -> Option<Arc<ItemQueue>> {
        match &lock(&self.waiting).requesters.get(&id)?.awaits {
            Awaits::Items(items) => Some(Arc::clone(items)),
            Awaits::Reply(_) => None,
        }
    }

    /// Which part of a stream a line is.
    fn part_of(&self, envelope: &[u8]) -> StreamPart<'static> {
        let part = reply_at_end(envelope).map_or(StreamPart::None, |(_, part)| part);
        match (part, &self.cancels) {
            // Other programs may write the keys in any order.
            (StreamPart::None, Some(Cancels { wire, .. })) => {
                match wire.decode(envelope).map(|read| read.stream) {
                    Ok(StreamPart::Item) => StreamPart::Item,
                    Ok(StreamPart::Started) => StreamPart::Started,
                    _ => StreamPart::None,
                }
            }
            (part, _) => part,
        }
    }

    /// Fails the request whose reply was too long.
    pub(super) fn too_long(&self, re: u64, size: u64, limit: usize) {
        if let Some(requester) = self.take(re) {
            self.cancel_stream(re, &requester);
            requester.fail(NoReply::TooLong { size, limit });
        }
    }

    /// Tells the peer, if the request is that of a stream: it would go on.
    fn cancel_stream(&self, id: u64, requester: &Requester) {
        if let Awaits::Items(_) = requester.awaits {
            self.cancel(id, requester);
        }
    }

    /// Fails all waiting requests, because no reply is read for now. Later ones fail with the next call.
    pub(super) fn no_room(&self, limit: usize) {
        let mut waiting = lock(&self.waiting);
        let requesters = std::mem::take(&mut waiting.requesters);
        self.counted(&waiting);
        drop(waiting);
        // Sending wakes the requesters: without the lock.
        for (id, requester) in requesters {
            self.cancel_stream(id, &requester);
            requester.fail(NoReply::NoRoom { limit });
        }
    }

    /// Whether any request waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Fails all waiting requests, and all later ones: no reply comes from now on.
    pub(crate) fn end(&self, cause: &CloseCause) {
        let mut waiting = lock(&self.waiting);
        waiting.ended.get_or_insert_with(|| cause.clone());
        let requesters = std::mem::take(&mut waiting.requesters);
        self.counted(&waiting);
        drop(waiting);
        // Sending wakes the requesters: without the lock.
        for requester in requesters.into_values() {
            requester.fail(NoReply::Ended(cause.clone()));
        }
        self.earlier.notify_one();
    }

    /// The deadline of a request that waits.
    #[cfg(test)]
    pub(super) fn deadline_of(&self, id: u64) -> Option<Instant> {
        lock(&self.waiting).requesters.get(&id)?.deadline
    }

    fn take(&self, id: u64) -> Option<Requester> {
        let mut waiting = lock(&self.waiting);
        let requester = waiting.requesters.remove(&id);
        self.counted(&waiting);
        requester
    }

    fn counted(&self, waiting: &Waiting) {
        self.count.store(waiting.requesters.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
