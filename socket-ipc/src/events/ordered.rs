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
    /// The connections whose beginning was sent and whose end was not. Locked while an entry is put into the queue, so
    /// that the entries of a connection keep their order when several threads send them.
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

    /// Sends a message that belongs to no connection.
    #[cfg(feature = "nats")]
    pub(crate) fn of_no_connection(&self, message: E, len: usize) -> CallResult {
        let put = self.queue.put(message, len, Stay::WhileAwaited);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::limits::SUBSCRIPTION_LEN;
    use crate::router::{Subscription, subscription_of_sender};

    type Entry = (&'static str, u64);

    fn stream() -> (Arc<OrderedSender<Entry, u64>>, Subscription<Entry>) {
        let (queue, subscription) = subscription_of_sender();
        (OrderedSender::new(queue), subscription)
    }

    fn rest(sender: Arc<OrderedSender<Entry, u64>>, mut stream: Subscription<Entry>) -> Vec<Entry> {
        drop(sender);
        let mut cx = Context::from_waker(Waker::noop());
        let mut entries = Vec::new();
        while let Poll::Ready(Some(entry)) = std::pin::pin!(stream.next()).poll(&mut cx) {
            entries.push(entry);
        }
        entries
    }

    fn begin(sender: &OrderedSender<Entry, u64>, peer: u64) -> Option<Wait> {
        let holds = Holds::default();
        sender.begin(peer, ("begin", peer), &holds);
        holds.into_wait()
    }

    #[test]
    fn ordered_sender_connection_that_existed_begins_once_and_ends_once() {
        let (sender, stream) = stream();
        // The end of a connection whose beginning was not sent is not sent either.
        assert!(sender.end(1, ("end", 1), || None).is_none());
        assert!(begin(&sender, 2).is_none());
        sender.existing(|| vec![2, 3], |peer| ("begin", peer));
        assert!(begin(&sender, 3).is_none());
        for peer in [1, 3] {
            assert!(matches!(sender.message(peer, ("message", peer), 1), CallResult::Done));
        }
        for _ in 0..2 {
            assert!(sender.end(3, ("end", 3), || None).is_none());
            assert!(matches!(sender.message(3, ("message", 3), 1), CallResult::Done));
        }
        assert_eq!(rest(sender, stream), [("begin", 2), ("begin", 3), ("message", 3), ("end", 3)]);
    }

    #[test]
    fn ordered_sender_full_holds_connections_and_keeps_every_beginning_and_end() {
        let (sender, stream) = stream();
        let count = Arc::new(AtomicUsize::new(0));
        assert!(begin(&sender, 0).is_none());
        for _ in 1..SUBSCRIPTION_LEN {
            assert!(matches!(sender.message(0, ("message", 0), 1), CallResult::Done));
        }
        let CallResult::Wait(message) = sender.message(0, ("given up", 0), 1) else { panic!("it has room") };
        for peer in 1..=3 {
            assert!(begin(&sender, peer).is_some());
            drop(sender.end(peer, ("end", peer), || Some(Counted::new(&count))));
        }
        drop(message);
        drop(sender.end(0, ("end", 0), || Some(Counted::new(&count))));
        let load = || count.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(load(), 4);
        let entries = rest(sender, stream);
        let left = &entries[SUBSCRIPTION_LEN..];
        let expected = [1, 2, 3].map(|peer| [("begin", peer), ("end", peer)]);
        assert_eq!(left.split_last(), Some((&("end", 0), expected.as_flattened())));
        assert_eq!(load(), 0);
    }

    #[test]
    fn holds_several_become_one() {
        let holds = Holds::default();
        assert!(holds.into_wait().is_none());
        let (holds, mut cx) = (Holds::default(), Context::from_waker(Waker::noop()));
        let (first, ended) = tokio::sync::oneshot::channel::<()>();
        holds.add(Some(Box::pin(async { ended.await.unwrap_or_default() })));
        holds.add(None);
        holds.add(Some(Box::pin(std::future::ready(()))));
        let mut wait = holds.into_wait().unwrap();
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        drop(first);
        assert!(wait.as_mut().poll(&mut cx).is_ready());
    }
}
