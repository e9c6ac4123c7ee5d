//! Connections and messages in the order in which they happen: the sending end of what `events` of a server and of a
//! client return.
//!
//! Each connection sends from its own task: its beginning, its messages, its end. An entry that finds no room waits in
//! the queue's line, so the order holds whatever the reader does. What waits for room is the connection:
//!
//! - Behind its beginning, it dispatches no message until that has room ([`Holds`]).
//! - Behind a message, it dispatches no further one, as with any subscription.
//! - Its end never waits. A server counts the ends that have no room among its clients; a client connects again only
//!   once the end has room. So the line is bounded, too.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::Hash;
use std::mem::size_of;
use std::sync::{Arc, Mutex};

use foldhash::fast::FixedState;

use crate::router::{CallResult, Counted, Put, Sender, Stay, Wait};
use crate::sync::lock;

/// What has to finish before the endpoint goes on: before the first message of a connection is dispatched, or before a
/// client connects again. Listeners of an event add to it.
#[derive(Default)]
pub(crate) struct Holds(RefCell<Vec<Wait>>);

impl Holds {
    pub(crate) fn add(&self, wait: Option<Wait>) {
        self.0.borrow_mut().extend(wait);
    }

    /// All of them as one future; `None` where there is nothing to wait for.
    pub(crate) fn into_wait(self) -> Option<Wait> {
        let mut waits = self.0.into_inner();
        match waits.len() {
            0 | 1 => waits.pop(),
            _ => Some(Box::pin(async move {
                for wait in waits {
                    wait.await;
                }
            })),
        }
    }
}

/// The sending end of a stream of entries `E`, from connections to peers `P`.
pub(crate) struct OrderedSender<E, P> {
    queue: Sender<E>,
    /// The connections whose beginning was sent and whose end was not. Locked while an entry is put into the queue:
    /// what another thread finds out of a connection meanwhile comes before the entry, or after it.
    open: Mutex<HashSet<P, FixedState>>,
}

impl<E: Send + 'static, P: Copy + Eq + Hash> OrderedSender<E, P> {
    pub(crate) fn new(queue: Sender<E>) -> Arc<Self> {
        Arc::new(Self { queue, open: Mutex::default() })
    }

    /// Sends the beginning of the connections that exist. `connections` is called under a lock: a connection that it
    /// returns has not reported its end yet.
    pub(crate) fn existing(&self, connections: impl FnOnce() -> Vec<P>, beginning: impl Fn(P) -> E) {
        let mut open = lock(&self.open);
        let peers: Vec<P> = connections().into_iter().filter(|peer| open.insert(*peer)).collect();
        let put: Vec<_> = peers.into_iter().map(|peer| self.put_to_stay(beginning(peer), None)).collect();
        drop(open);
        put.into_iter().for_each(|put| drop(finish(put)));
    }

    /// Sends the beginning of a connection, which waits for its room.
    pub(crate) fn begin(&self, peer: P, beginning: E, holds: &Holds) {
        let mut open = lock(&self.open);
        if !open.insert(peer) {
            // It came with the connections that existed.
            return;
        }
        let put = self.put_to_stay(beginning, None);
        drop(open);
        holds.add(finish(put));
    }

    /// Sends a message of a connection.
    pub(crate) fn message(&self, peer: P, message: E, len: usize) -> CallResult {
        let open = lock(&self.open);
        if !open.contains(&peer) {
            // A server that closes has given up the connection meanwhile, and has reported its end.
            drop(open);
            return CallResult::Done;
        }
        let put = self.queue.put(message, len, Stay::WhileAwaited);
        drop(open);
        finish(put).map_or(CallResult::Done, CallResult::Wait)
    }

    /// Sends the end of a connection. What it returns waits for its room, and may be dropped. `counted` is held while it
    /// has none.
    pub(crate) fn end(&self, peer: P, end: E, counted: impl FnOnce() -> Option<Counted>) -> Option<Wait> {
        let mut open = lock(&self.open);
        if !open.remove(&peer) {
            return None;
        }
        let put = self.put_to_stay(end, counted());
        drop(open);
        finish(put)
    }

    /// Sends an entry that belongs to no connection, or changes the newest entry instead, while nobody has taken that.
    pub(crate) fn send_or_change<R>(&self, entry: E, change: impl FnOnce(&mut E) -> Option<R>) {
        if self.queue.change_newest(change).is_none() {
            drop(finish(self.put_to_stay(entry, None)));
        }
    }

    fn put_to_stay(&self, entry: E, counted: Option<Counted>) -> Put<E> {
        self.queue.put(entry, size_of::<E>(), Stay::Always(counted))
    }
}

/// Wakes the reader. Called without the lock, as wakers are foreign code. Returns what waits for room.
fn finish<E: Send + 'static>(put: Put<E>) -> Option<Wait> {
    match put {
        Put::Held(reader) => {
            if let Some(reader) = reader {
                reader.wake();
            }
            None
        }
        Put::Waiting(turn) => Some(Box::pin(turn)),
        Put::Closed(_) => None,
    }
}
