//! Broadcasts: the chunks that outboxes share, and their order with everything else.

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{collection, proptest};

use super::*;

#[test]
fn broadcast_single_wakes_idle_sessions_and_is_taken_at_once() {
    let log = BroadcastLog::default();
    let total = OutboxBudget::new(usize::MAX);
    let outboxes = [(); 2].map(|()| Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new()));
    for bytes in [message(10), message(20)] {
        let count = Arc::new(Count::default());
        for outbox in &outboxes {
            assert!(outbox.park(&Waker::from(Arc::clone(&count)), false));
        }
        let broadcast = log.broadcast(&bytes, &total, CLIENTS);
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
fn outbox_chunk_held_by_a_short_span_counts_until_released() {
    let log = BroadcastLog::default();
    let (total, [slow, fast]) = outboxes(usize::MAX);
    let bytes = message(100);
    let broadcast = |to: &[&Outbox]| {
        let broadcast = log.broadcast(&bytes, &total, CLIENTS);
        to.iter().for_each(|outbox| outbox.push_broadcast(&broadcast, false).unwrap());
    };
    broadcast(&[&slow, &fast]);
    // `slow` gets no further message in that chunk.
    slow.queue_up(&bytes).unwrap();
    for _ in 0..300 {
        broadcast(&[&fast]);
    }
    drain(&fast);
    assert_eq!(queued(&total, [&slow, &fast]), 200, "queued bytes are counted separately");
    assert!(total.counted_bytes() > 200 + 30_000, "{}", total.counted_bytes());
    slow.release_chunks();
    assert_eq!(total.counted_bytes(), 200);
    assert!(!log.keeps_a_chunk());
    assert_eq!(bytes_of(&drain(&slow)), bytes.repeat(2));
    assert_eq!(total.counted_bytes(), 0);
}

#[test]
fn broadcasts_many_short_are_shared_in_chunks_of_bounded_length() {
    let log = BroadcastLog::default();
    let (total, [slow, other]) = outboxes(usize::MAX);
    let bytes = message(1_000);
    for _ in 0..200 {
        let broadcast = log.broadcast(&bytes, &total, CLIENTS);
        slow.push_broadcast(&broadcast, false).unwrap();
        other.push_broadcast(&broadcast, false).unwrap();
    }
    let segments = drain(&slow);
    assert!(segments.iter().all(|segment| segment.bytes().len() <= 64 * 1024), "{}", segments.len());
    assert_eq!(bytes_of(&segments), bytes.repeat(200));
}

#[test]
fn release_chunks_most_of_the_chunk_is_queued_keeps_it() {
    let log = BroadcastLog::default();
    let (total, [slow, other]) = outboxes(usize::MAX);
    let bytes = message(1_000);
    for _ in 0..40 {
        let broadcast = log.broadcast(&bytes, &total, CLIENTS);
        slow.push_broadcast(&broadcast, false).unwrap();
        other.push_broadcast(&broadcast, false).unwrap();
    }
    slow.release_chunks();
    other.release_chunks();
    assert!(log.keeps_a_chunk());
    assert_eq!(bytes_of(&drain(&slow)), bytes.repeat(40));
}

#[test]
fn counted_for_long_broadcast_counts_once_and_short_for_each_client() {
    assert_eq!(counted_for(10, 3), 30);
    assert_eq!(counted_for(SHARE_FROM - 1, 3), 3 * (SHARE_FROM - 1));
    assert_eq!(counted_for(SHARE_FROM, 3), SHARE_FROM);
}

#[test]
fn broadcast_by_several_threads_loses_and_reorders_nothing() {
    let log = BroadcastLog::default();
    const COUNT: usize = 5_000;
    let total = OutboxBudget::new(usize::MAX);
    let outboxes = [(); 3].map(|()| Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new()));
    let send = &|from: u8| {
        for number in 0..COUNT {
            let bytes = format!("{from} {number}\n").into_bytes();
            let broadcast = log.broadcast(&bytes, &total, outboxes.len());
            for outbox in &outboxes {
                match from {
                    0 => outbox.queue_up(&bytes).unwrap(),
                    _ => outbox.push_broadcast(&broadcast, false).unwrap(),
                }
            }
        }
    };
    let receive = &|outbox: &Outbox| {
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
            scope.spawn(move || receive(outbox));
        }
    });
    assert_eq!(queued(&total, &outboxes), 0);
}

/// One step with several outboxes, which are numbered.
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

/// An outbox, and the bytes that are still expected from it.
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
        let log = BroadcastLog::default();
        let total = OutboxBudget::new(usize::MAX);
        let join = || {
            let outbox = Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new());
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
                    to.outbox.queue_up(&message(len)).unwrap();
                    to.push(&message(len));
                }
                Step::Broadcast { len, except } => {
                    let bytes = message(len);
                    let broadcast = log.broadcast(&bytes, &total, count);
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
        assert_eq!(queued(&total, outboxes.iter().map(|expected| &expected.outbox)), 0);
    }
}
