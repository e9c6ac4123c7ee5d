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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
            Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
        }

        fn next<M>(self: &Arc<Self>, queue: &Queue<M>) -> Poll<Option<M>> {
            queue.poll_next(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
        }

        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    proptest! {
        /// Whatever is sent, taken and given up: every other message comes out once and in order, what is held is
        /// within the bounds, and what waits has no room.
        #[test]
        fn queue_any_steps_keeps_order_and_bounds(
            steps in prop::collection::vec((0..4, 0..SUBSCRIPTION_BYTES * 5 / 4, any::<prop::sample::Index>()), 0..400),
            small in any::<bool>(),
        ) {
            let (sender, queue) = Queue::new();
            let woken = Arc::new(Woken::default());
            let mut turns: Vec<(usize, Turn<usize>)> = Vec::new();
            let (mut expected, mut number) = (VecDeque::new(), 0);
            for (step, len, index) in steps {
                match step {
                    0 | 1 => {
                        let len = if small { len / 512 } else { len };
                        turns.extend(sender.send(number, len).map(|turn| (number, turn)));
                        expected.push_back(number);
                        number += 1;
                    }
                    2 => {
                        let taken = match woken.next(&queue) {
                            Poll::Ready(taken) => taken,
                            Poll::Pending => None,
                        };
                        prop_assert_eq!(taken, expected.pop_front());
                    }
                    _ if turns.is_empty() => {}
                    _ => {
                        let (number, turn) = turns.remove(index.index(turns.len()));
                        expected.retain(|other| *other != number);
                        drop(turn);
                    }
                }
                for (number, mut turn) in std::mem::take(&mut turns) {
                    if woken.poll(&mut turn).is_pending() {
                        turns.push((number, turn));
                    }
                }
                let state = lock(&queue.0);
                prop_assert_eq!(state.held.iter().map(|(_, len)| len).sum::<usize>(), state.bytes);
                let within = state.held.len() <= SUBSCRIPTION_LEN && state.bytes <= SUBSCRIPTION_BYTES;
                prop_assert!(within || state.held.len() == 1);
                prop_assert!(state.waiting.front().is_none_or(|next| !state.has_room(next.len)));
                prop_assert_eq!(state.waiting.len(), turns.len());
            }
        }
    }

    #[test]
    fn queue_full_wakes_senders_in_turn() {
        let (sender, queue) = Queue::new();
        let [reader, one, two] = [(); 3].map(|()| Arc::new(Woken::default()));
        assert!(reader.next(&queue).is_pending());
        assert!(sender.send(0, SUBSCRIPTION_BYTES + 1).is_none(), "an empty queue takes any");
        assert_eq!(reader.count(), 1);
        let mut first = sender.send(1, SUBSCRIPTION_BYTES).unwrap();
        let mut second = sender.send(2, 1).unwrap();
        assert!(one.poll(&mut first).is_pending());
        assert!(two.poll(&mut second).is_pending());
        assert_eq!(reader.next(&queue), Poll::Ready(Some(0)));
        assert_eq!((one.count(), two.count()), (1, 0));
        assert!(one.poll(&mut first).is_ready());
        assert_eq!(reader.next(&queue), Poll::Ready(Some(1)));
        assert_eq!((one.count(), two.count()), (1, 1));
        assert_eq!(reader.next(&queue), Poll::Ready(Some(2)));
        assert!(reader.next(&queue).is_pending());
        drop(sender);
        assert_eq!(reader.count(), 2);
        assert_eq!(reader.next(&queue), Poll::Ready(None));
    }

    #[test]
    fn queue_of_most_messages_makes_next_wait() {
        let (sender, _queue) = Queue::new();
        for number in 0..SUBSCRIPTION_LEN {
            assert!(sender.send(number, 1).is_none());
        }
        assert!(sender.send(SUBSCRIPTION_LEN, 1).is_some());
    }

    #[test]
    fn queue_sender_gives_up_wakes_next() {
        let (sender, queue) = Queue::new();
        assert!(sender.send(0, 1).is_none());
        let long = sender.send(1, SUBSCRIPTION_BYTES).unwrap();
        let (woken, mut short) = (Arc::new(Woken::default()), sender.send(2, 1).unwrap());
        assert!(woken.poll(&mut short).is_pending());
        drop(long);
        assert_eq!(woken.count(), 1);
        assert!(woken.poll(&mut short).is_ready());
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn queue_closed_releases_senders_and_messages() {
        let (sender, queue) = Queue::new();
        let message = Arc::new(());
        assert!(sender.send(Arc::clone(&message), SUBSCRIPTION_BYTES).is_none());
        let (woken, mut waiting) =
            (Arc::new(Woken::default()), sender.send(Arc::clone(&message), 1).unwrap());
        assert!(woken.poll(&mut waiting).is_pending());
        queue.close();
        assert_eq!(woken.count(), 1);
        assert!(woken.poll(&mut waiting).is_ready());
        assert!(sender.send(Arc::clone(&message), 1).is_none());
        assert_eq!(Arc::strong_count(&message), 1);
    }
}
