//! The queue of a subscription, bounded in messages and in bytes. Senders that find no room wait in turn.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::limits::{SUBSCRIPTION_BYTES, SUBSCRIPTION_LEN};
use crate::sync::lock;

/// What both ends share. A channel that counts only messages would need a second lock for their bytes, for each
/// message.
pub(crate) struct Queue<M>(Mutex<State<M>>);

struct State<M> {
    /// The messages that can be taken, with their lengths: at most [`SUBSCRIPTION_LEN`], of [`SUBSCRIPTION_BYTES`]
    /// together, or one of any length.
    held: VecDeque<(M, usize)>,
    /// Their length together.
    bytes: usize,
    /// The messages that have no room yet, in order. Empty while `held` is empty.
    waiting: VecDeque<Waiting<M>>,
    next_ticket: u64,
    /// The reader, while it waits.
    reader: Option<Waker>,
    /// No sender is left.
    ended: bool,
    /// No reader is left.
    closed: bool,
}

struct Waiting<M> {
    ticket: u64,
    message: M,
    len: usize,
    sender: Option<Waker>,
    stay: Stay,
}

/// What becomes of a message that waits when its [`Turn`] is dropped.
pub(crate) enum Stay {
    /// It is taken back.
    WhileAwaited,
    /// It stays. It is counted until it has room, if it is counted at all.
    Always(#[expect(dead_code, reason = "it counts until it is dropped")] Option<Counted>),
}

/// One of a count, until it is dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sending end. The queue ends when it is dropped.
pub(crate) struct Sender<M>(Arc<Queue<M>>);

/// Where a message was put. The caller wakes and drops what it gets after it has released its own locks.
#[must_use]
pub(crate) enum Put<M> {
    /// It can be taken. This is the reader, if it waits.
    Held(Option<Waker>),
    /// It has no room yet.
    Waiting(Turn<M>),
    /// There is no reader, and this is the message: it may run code of the user as it is dropped.
    Closed(M),
}

/// Waits until a message has room, or the reader is gone. Dropped before, it takes the message back, unless that is to
/// stay.
pub(crate) struct Turn<M> {
    queue: Arc<Queue<M>>,
    ticket: u64,
}

impl<M> Queue<M> {
    pub(super) fn new() -> (Sender<M>, Arc<Self>) {
        let state = State {
            held: VecDeque::new(),
            bytes: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
            reader: None,
            ended: false,
            closed: false,
        };
        let queue = Arc::new(Self(Mutex::new(state)));
        (Sender(Arc::clone(&queue)), queue)
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).held.len()
    }

    /// Takes the next message; `None` when there will be no other.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<M>> {
        if let Some(taken) = self.take() {
            return Poll::Ready(taken);
        }
        // Wakers are foreign code: this one is cloned, and the one before dropped, without the lock.
        let waker = cx.waker().clone();
        let before = lock(&self.0).reader.replace(waker);
        drop(before);
        // A message may have been queued in between.
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// `Some(Some)` is the next message, `Some(None)` the end; `None` means that a message may still come.
    fn take(&self) -> Option<Option<M>> {
        let mut state = lock(&self.0);
        let Some((message, len)) = state.held.pop_front() else { return state.ended.then_some(None) };
        state.bytes -= len;
        let admitted = state.admit();
        drop(state);
        admitted.into_iter().for_each(Waker::wake);
        Some(Some(message))
    }

    /// Drops everything: the reader is gone.
    pub(super) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let dropped =
            (std::mem::take(&mut state.held), std::mem::take(&mut state.waiting), state.reader.take());
        state.bytes = 0;
        drop(state);
        // Messages and wakers are dropped without the lock, after all senders are woken.
        for waiting in &dropped.1 {
            if let Some(sender) = &waiting.sender {
                sender.wake_by_ref();
            }
        }
    }
}

impl<M> State<M> {
    fn has_room(&self, len: usize) -> bool {
        let fits = || self.bytes.saturating_add(len) <= SUBSCRIPTION_BYTES;
        self.held.is_empty() || (self.held.len() < SUBSCRIPTION_LEN && fits())
    }

    fn hold(&mut self, message: M, len: usize) {
        self.bytes += len;
        self.held.push_back((message, len));
    }

    /// Moves waiting messages to `held` as far as there is room, and returns the wakers of their senders.
    fn admit(&mut self) -> Vec<Waker> {
        let mut admitted = Vec::new();
        while self.waiting.front().is_some_and(|next| self.has_room(next.len))
            && let Some(Waiting { message, len, sender, .. }) = self.waiting.pop_front()
        {
            self.hold(message, len);
            admitted.extend(sender);
        }
        admitted
    }

    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

impl<M> Sender<M> {
    /// Queues a message of `len` bytes, or returns a future that waits for its room. Without a reader the message
    /// is dropped.
    #[inline]
    pub(super) fn send(&self, message: M, len: usize) -> Option<Turn<M>> {
        match self.put(message, len, Stay::WhileAwaited) {
            Put::Held(reader) => {
                if let Some(reader) = reader {
                    reader.wake();
                }
                None
            }
            Put::Waiting(turn) => Some(turn),
            Put::Closed(_) => None,
        }
    }

    /// Queues a message of `len` bytes, behind those that wait.
    #[inline]
    pub(crate) fn put(&self, message: M, len: usize, stay: Stay) -> Put<M> {
        let mut state = lock(&self.0.0);
        if state.closed {
            return Put::Closed(message);
        }
        if state.waiting.is_empty() && state.has_room(len) {
            state.hold(message, len);
            return Put::Held(state.reader.take());
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(Waiting { ticket, message, len, sender: None, stay });
        drop(state);
        Put::Waiting(Turn { queue: Arc::clone(&self.0), ticket })
    }

    /// Changes the newest message, while it was not taken.
    pub(crate) fn change_newest<R>(&self, change: impl FnOnce(&mut M) -> Option<R>) -> Option<R> {
        let mut state = lock(&self.0.0);
        let State { held, waiting, .. } = &mut *state;
        match waiting.back_mut() {
            Some(newest) => change(&mut newest.message),
            None => held.back_mut().and_then(|(newest, _)| change(newest)),
        }
    }
}

impl<M> Drop for Sender<M> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<M> Future for Turn<M> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.queue.0);
        let Some(place) = state.place_of(self.ticket) else { return Poll::Ready(()) };
        let before = state.waiting[place].sender.replace(waker);
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl<M> Drop for Turn<M> {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.0);
        let Some(place) = state.place_of(self.ticket) else { return };
        if let Stay::Always(_) = state.waiting[place].stay {
            let sender = state.waiting[place].sender.take();
            drop(state);
            drop(sender);
            return;
        }
        let given_up = state.waiting.remove(place);
        // The messages behind it may be shorter.
        let admitted = state.admit();
        drop(state);
        admitted.into_iter().for_each(Waker::wake);
        drop(given_up);
    }
}

#[cfg(test)]
mod tests;
