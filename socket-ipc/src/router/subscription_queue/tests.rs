//! The queue of a subscription, driven by hand.

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
    /// within the bounds, and what waits has no room. A message that is to stay is not given up, and is counted
    /// while it waits.
    #[test]
    fn queue_any_steps_keeps_order_and_bounds(
        steps in prop::collection::vec((0..5, 0..SUBSCRIPTION_BYTES * 5 / 4, any::<prop::sample::Index>()), 0..400),
        small in any::<bool>(),
    ) {
        let (sender, queue) = Queue::new();
        let woken = Arc::new(Woken::default());
        let mut turns: Vec<(usize, Turn<usize>)> = Vec::new();
        let (mut expected, mut number) = (VecDeque::new(), 0);
        let (mut to_stay, count) = (Vec::new(), Arc::new(AtomicUsize::new(0)));
        for (step, len, index) in steps {
            match step {
                0..3 => {
                    let len = if small { len / 512 } else { len };
                    let stay = match step {
                        0 => Stay::Always(Some(Counted::new(&count))),
                        _ => Stay::WhileAwaited,
                    };
                    if let Stay::Always(_) = stay {
                        to_stay.push(number);
                    }
                    if let Put::Waiting(turn) = sender.put(number, len, stay) {
                        turns.push((number, turn));
                    }
                    expected.push_back(number);
                    number += 1;
                }
                3 => {
                    let taken = match woken.next(&queue) {
                        Poll::Ready(taken) => taken,
                        Poll::Pending => None,
                    };
                    prop_assert_eq!(taken, expected.pop_front());
                }
                _ if turns.is_empty() => {}
                _ => {
                    let (number, turn) = turns.remove(index.index(turns.len()));
                    if !to_stay.contains(&number) {
                        expected.retain(|other| *other != number);
                    }
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
            let awaited = |waiting: &&Waiting<usize>| turns.iter().any(|(number, _)| *number == waiting.message);
            let stays = |waiting: &&Waiting<usize>| matches!(waiting.stay, Stay::Always(_));
            prop_assert_eq!(state.waiting.iter().filter(awaited).count(), turns.len());
            prop_assert!(state.waiting.iter().all(|waiting| awaited(&waiting) || stays(&waiting)));
            prop_assert_eq!(state.waiting.iter().filter(stays).count(), count.load(Ordering::Relaxed));
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
fn queue_change_newest_finds_it_until_it_is_taken() {
    let (sender, queue) = Queue::new();
    let woken = Arc::new(Woken::default());
    let double = |message: &mut u64| {
        *message *= 2;
        Some(*message)
    };
    assert_eq!(sender.change_newest(double), None);
    assert!(matches!(sender.put(1, SUBSCRIPTION_BYTES, Stay::Always(None)), Put::Held(None)));
    assert_eq!(sender.change_newest(double), Some(2));
    let Put::Waiting(turn) = sender.put(5, 1, Stay::Always(None)) else { panic!("it has room") };
    assert_eq!(sender.change_newest(double), Some(10));
    drop(turn);
    assert_eq!(woken.next(&queue), Poll::Ready(Some(2)));
    assert_eq!(sender.change_newest(double), Some(20));
    assert_eq!(woken.next(&queue), Poll::Ready(Some(20)));
    assert_eq!(sender.change_newest(double), None);
    queue.close();
    assert!(matches!(sender.put(1, 1, Stay::Always(None)), Put::Closed(1)));
}

#[test]
fn queue_closed_releases_senders_and_messages() {
    let (sender, queue) = Queue::new();
    let message = Arc::new(());
    assert!(sender.send(Arc::clone(&message), SUBSCRIPTION_BYTES).is_none());
    let (woken, mut waiting) = (Arc::new(Woken::default()), sender.send(Arc::clone(&message), 1).unwrap());
    assert!(woken.poll(&mut waiting).is_pending());
    queue.close();
    assert_eq!(woken.count(), 1);
    assert!(woken.poll(&mut waiting).is_ready());
    assert!(sender.send(Arc::clone(&message), 1).is_none());
    assert_eq!(Arc::strong_count(&message), 1);
}
