use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{collection, proptest};
use tokio::time::timeout;

use super::{Broadcast, Outbox, PushError, SHARE_FROM, Segment, Total, Unsent};
use crate::limits::OUTBOX_MARK;
use crate::wire::Wire;

/// So many that a broadcast is worth sharing.
const CLIENTS: usize = 2;

fn outbox(limit: usize, total: usize) -> Outbox {
    Outbox::new(limit, Total::new(total))
}

fn message(len: usize) -> Vec<u8> {
    [vec![b'x'; len - 1], vec![b'\n']].concat()
}

/// Takes everything, as if it had been written at once.
fn drain(outbox: &Outbox) -> Vec<Segment> {
    std::iter::from_fn(|| outbox.take())
        .inspect(|segment| outbox.written(segment, segment.bytes().len(), true))
        .collect()
}

fn bytes_of(segments: &[Segment]) -> Vec<u8> {
    segments.iter().flat_map(Segment::bytes).copied().collect()
}

fn queued(total: &Total) -> usize {
    total.queued()
}

#[test]
fn a_paced_broadcast_is_queued_over_the_limit_and_another_is_not() {
    let outbox = outbox(100, 1_000);
    outbox.push(&message(80)).unwrap();
    let bytes = message(40);
    let broadcast = Broadcast::new(&bytes, &outbox.total, CLIENTS);
    assert_eq!(outbox.push_broadcast(&broadcast, false), Err(PushError::Full { queued: 80 }));
    assert_eq!(outbox.push_broadcast(&broadcast, true), Ok(()));
    outbox.end();
    assert_eq!(outbox.push_broadcast(&broadcast, true), Err(PushError::Ended));
}

#[test]
fn each_message_is_counted_until_it_is_written_however_it_was_queued() {
    for len in [10, SHARE_FROM] {
        let (outbox, bytes) = (outbox(10 * SHARE_FROM, 10 * SHARE_FROM), message(len));
        let queue = || {
            outbox.push(&bytes).unwrap();
            outbox.push_broadcast(&Broadcast::new(&bytes, &outbox.total, CLIENTS), false).unwrap();
            outbox.push_broadcast(&Broadcast::new(&bytes, &outbox.total, CLIENTS), false).unwrap();
            outbox.push(&bytes).unwrap();
        };
        queue();
        drain(&outbox);
        queue();
        let unsent = Unsent { messages: 4, bytes: 4 * len as u64 };
        assert_eq!(outbox.give_up(Wire::JSON_LINES, None), unsent);
    }
}

#[test]
fn there_is_room_for_a_paced_message_below_the_mark_the_limit_and_the_total() {
    let (limit, total) = (OUTBOX_MARK + 10, OUTBOX_MARK + 20);
    let (outbox, other) = {
        let total = Total::new(total);
        (Outbox::new(limit, Arc::clone(&total)), Outbox::new(limit, total))
    };
    assert!(outbox.has_room(2 * limit), "an empty outbox takes any message");
    outbox.push(&message(10)).unwrap();
    assert!(outbox.has_room(limit - 10));
    assert!(!outbox.has_room(limit - 9));
    outbox.push(&message(OUTBOX_MARK - 10)).unwrap();
    assert!(outbox.has_room(10));
    assert!(!outbox.has_room(11));
    // An empty outbox takes any message, though all of them together are full then.
    other.push(&message(20)).unwrap();
    assert!(!outbox.has_room(10));
    drain(&other);
    assert!(outbox.has_room(10));
    outbox.push(&message(1)).unwrap();
    assert!(!outbox.has_room(1));
}

#[tokio::test]
async fn nobody_waits_for_an_outbox_that_has_ended() {
    let outbox = outbox(100, 100);
    assert_eq!(outbox.wait_until(|_| true).await, Ok(()));
    outbox.end();
    assert_eq!(outbox.wait_until(|_| true).await, Err(PushError::Ended));
}

#[test]
fn what_is_queued_comes_out_in_order_large_broadcasts_apart() {
    let outbox = outbox(usize::MAX, usize::MAX);
    let (small, large) = (message(10), message(SHARE_FROM));
    outbox.push(&small).unwrap();
    outbox.push_broadcast(&Broadcast::new(&small, &outbox.total, CLIENTS), false).unwrap();
    outbox.push_broadcast(&Broadcast::new(&large, &outbox.total, CLIENTS), false).unwrap();
    outbox.push(&small).unwrap();
    let lens: Vec<_> = drain(&outbox).iter().map(|segment| segment.bytes().len()).collect();
    assert_eq!(lens, [20, SHARE_FROM, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_once_what_was_queued_is_written_whatever_is_queued_meanwhile() {
    let outbox = Arc::new(outbox(usize::MAX, usize::MAX));
    let much = message(2 * OUTBOX_MARK);
    outbox.push(&much).unwrap();
    let flushing = Arc::clone(&outbox);
    let flush = tokio::spawn(async move { flushing.flush().await });
    tokio::task::yield_now().await;
    let first = outbox.take().unwrap();
    outbox.push(&much).unwrap();
    outbox.written(&first, much.len() - 1, false);
    tokio::task::yield_now().await;
    assert!(!flush.is_finished());
    outbox.written(&first, 1, true);
    assert_eq!(timeout(Duration::from_secs(1), flush).await.expect("it is woken").unwrap(), Ok(()));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_waker_that_parked_last_is_woken() {
    let outbox = outbox(100, 100);
    let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
    for count in &counts {
        assert!(outbox.park(&Waker::from(Arc::clone(count)), false));
    }
    outbox.push(&message(10)).unwrap();
    assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
}

#[test]
fn a_single_broadcast_wakes_who_is_idle_and_is_taken_at_once() {
    let total = Total::new(usize::MAX);
    let outboxes = [(); 2].map(|()| Outbox::new(usize::MAX, Arc::clone(&total)));
    for bytes in [message(10), message(20)] {
        let count = Arc::new(Count::default());
        for outbox in &outboxes {
            assert!(outbox.park(&Waker::from(Arc::clone(&count)), false));
        }
        let broadcast = Broadcast::new(&bytes, &total, CLIENTS);
        for outbox in &outboxes {
            outbox.push_broadcast(&broadcast, false).unwrap();
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        for outbox in &outboxes {
            assert_eq!(bytes_of(&drain(outbox)), bytes);
        }
    }
}

#[test]
fn what_is_cut_in_the_middle_of_a_chunk_is_counted_exactly() {
    let total = Total::new(usize::MAX);
    let outboxes = [(); 2].map(|()| Outbox::new(usize::MAX, Arc::clone(&total)));
    let (len, count) = (100, SHARE_FROM / 50);
    for _ in 0..count {
        let bytes = message(len);
        let broadcast = Broadcast::new(&bytes, &total, CLIENTS);
        for outbox in &outboxes {
            outbox.push_broadcast(&broadcast, false).unwrap();
        }
    }
    assert_eq!(queued(&total), 2 * count * len);
    let segment = outboxes[0].take().unwrap();
    assert!(matches!(segment, Segment::Span(_)), "much is written from where everybody has it");
    // Two messages and a half.
    let written = 5 * len / 2;
    outboxes[0].written(&segment, written, false);
    outboxes[0].push(&message(len)).unwrap();
    let unsent = Unsent { messages: count as u64 - 1, bytes: ((count + 1) * len - written) as u64 };
    assert_eq!(outboxes[0].give_up(Wire::JSON_LINES, Some((segment, written))), unsent);
    assert_eq!(queued(&total), count * len);
    assert_eq!(bytes_of(&drain(&outboxes[1])), message(len).repeat(count));
    assert_eq!(queued(&total), 0);
}

#[test]
fn a_total_that_is_full_refuses_in_the_middle_of_a_broadcast() {
    let total = Total::new(25);
    let outboxes = [(); 3].map(|()| Outbox::new(usize::MAX, Arc::clone(&total)));
    let broadcast = |bytes: &[u8]| {
        let broadcast = Broadcast::new(bytes, &total, outboxes.len());
        outboxes.each_ref().map(|outbox| outbox.push_broadcast(&broadcast, false))
    };
    assert_eq!(broadcast(&message(5)), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(broadcast(&message(5)), [Ok(()), Ok(()), Err(PushError::Full { queued: 5 })]);
    assert_eq!(queued(&total), 25);
}

#[test]
fn while_several_broadcast_and_others_write_nothing_is_lost_or_changes_places() {
    const COUNT: usize = 5_000;
    let total = Total::new(usize::MAX);
    let outboxes = [(); 3].map(|()| Outbox::new(usize::MAX, Arc::clone(&total)));
    let send = &|from: u8| {
        for number in 0..COUNT {
            let bytes = format!("{from} {number}\n").into_bytes();
            let broadcast = Broadcast::new(&bytes, &total, outboxes.len());
            for outbox in &outboxes {
                match from {
                    0 => outbox.push(&bytes).unwrap(),
                    _ => outbox.push_broadcast(&broadcast, false).unwrap(),
                }
            }
        }
    };
    let hear = &|outbox: &Outbox| {
        let mut next = [0; 3];
        while next != [COUNT; 3] {
            for segment in drain(outbox) {
                let lines = std::str::from_utf8(segment.bytes()).unwrap().lines();
                let mut messages = 0;
                for line in lines {
                    let (from, number) = line.split_once(' ').unwrap();
                    let next = &mut next[from.parse::<usize>().unwrap()];
                    assert_eq!(number.parse(), Ok(*next));
                    *next += 1;
                    messages += 1;
                }
                assert_eq!(messages, segment.messages());
            }
            std::thread::yield_now();
        }
        assert_eq!(outbox.give_up(Wire::JSON_LINES, None), Unsent::default());
    };
    std::thread::scope(|scope| {
        for from in 0..3 {
            scope.spawn(move || send(from));
        }
        for outbox in &outboxes {
            scope.spawn(move || hear(outbox));
        }
    });
    assert_eq!(queued(&total), 0);
}

/// What may happen among some outboxes, which it numbers.
#[derive(Clone, Debug)]
enum Step {
    Join,
    Send(usize, usize),
    Broadcast { len: usize, except: Option<usize> },
    Take(usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![20 => 9..200usize, 2 => SHARE_FROM - 2_000..SHARE_FROM + 100];
    prop_oneof![
        1 => any::<()>().prop_map(|()| Step::Join),
        4 => (any::<usize>(), len()).prop_map(|(to, len)| Step::Send(to, len)),
        20 => (len(), proptest::option::weighted(0.2, any::<usize>()))
            .prop_map(|(len, except)| Step::Broadcast { len, except }),
        3 => any::<usize>().prop_map(Step::Take),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

/// An outbox, and what is to come out of it and was not taken.
struct Expected {
    outbox: Outbox,
    bytes: Vec<u8>,
    messages: u64,
}

impl Expected {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.messages += 1;
    }

    fn take(&mut self) {
        for segment in drain(&self.outbox) {
            assert!(self.bytes.starts_with(segment.bytes()), "everything once, and in order");
            self.bytes.drain(..segment.bytes().len());
            self.messages -= segment.messages();
        }
        assert_eq!((self.bytes.len(), self.messages), (0, 0));
    }
}

proptest! {
    #[test]
    fn each_outbox_holds_what_was_sent_and_broadcast_since_it_came_in_order(
        steps in collection::vec(step(), 1..200),
    ) {
        let total = Total::new(usize::MAX);
        let join = || {
            let outbox = Outbox::new(usize::MAX, Arc::clone(&total));
            Expected { outbox, bytes: Vec::new(), messages: 0 }
        };
        let mut outboxes = vec![join(), join()];
        for (number, step) in steps.into_iter().enumerate() {
            let message = |len: usize| format!("{number:0width$}\n", width = len - 1).into_bytes();
            let count = outboxes.len();
            match step {
                Step::Join => outboxes.push(join()),
                Step::Send(to, len) => {
                    let to = &mut outboxes[to % count];
                    to.outbox.push(&message(len)).unwrap();
                    to.push(&message(len));
                }
                Step::Broadcast { len, except } => {
                    let bytes = message(len);
                    let broadcast = Broadcast::new(&bytes, &total, count);
                    for (at, to) in outboxes.iter_mut().enumerate() {
                        if except.map(|except| except % count) != Some(at) {
                            to.outbox.push_broadcast(&broadcast, false).unwrap();
                            to.push(&bytes);
                        }
                    }
                }
                Step::Take(from) => outboxes[from % count].take(),
                Step::Leave(who) if count > 1 => {
                    let who = outboxes.swap_remove(who % count);
                    let unsent = Unsent { messages: who.messages, bytes: who.bytes.len() as u64 };
                    assert_eq!(who.outbox.give_up(Wire::JSON_LINES, None), unsent);
                }
                Step::Leave(_) => {}
            }
        }
        outboxes.iter_mut().for_each(Expected::take);
        assert_eq!(queued(&total), 0);
    }
}

#[test]
fn who_gives_it_up_without_what_is_being_written_leaves_that_to_the_session() {
    let total = Total::new(usize::MAX);
    let outbox = Outbox::new(1_000, Arc::clone(&total));
    outbox.push(&message(10)).unwrap();
    outbox.push(&message(20)).unwrap();
    let writing = outbox.take().unwrap();
    outbox.written(&writing, 10, false);
    outbox.push(&message(5)).unwrap();
    let unsent = outbox.give_up(Wire::JSON_LINES, None);
    assert_eq!((unsent.messages, unsent.bytes), (3, 25), "as far as it knows");
    assert_eq!(queued(&total), 20);
    assert_eq!(outbox.give_up(Wire::JSON_LINES, Some((writing, 10))), unsent);
    assert_eq!(queued(&total), 0);
}
