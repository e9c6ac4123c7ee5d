//! What the session sees of an outbox: when it is woken, what it takes, and what it leaves unsent.

use super::*;

#[test]
fn outbox_roused_or_closed_does_not_park() {
    let outbox = outbox(100, usize::MAX);
    outbox.rouse();
    assert!(!outbox.park(Waker::noop(), true));
    let woken = Arc::new(Count::default());
    assert!(outbox.park(&Waker::from(Arc::clone(&woken)), true));
    outbox.rouse();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(!outbox.park(Waker::noop(), true));
    outbox.close(CloseCommand::Drain(CloseCause::SlowClient));
    assert!(!outbox.park(Waker::noop(), true));
}

#[test]
fn outbox_anything_queued_does_not_park() {
    let log = BroadcastLog::default();
    let outbox = outbox(usize::MAX, usize::MAX);
    let (small, large) = (message(10), message(SHARE_FROM));
    let pushes: [&dyn Fn() -> Result<(), PushError>; 3] = [
        &|| outbox.queue_up(&small),
        &|| outbox.push_broadcast(&log.broadcast(&small, &outbox.total, CLIENTS), false),
        &|| outbox.push_broadcast(&log.broadcast(&large, &outbox.total, CLIENTS), false),
    ];
    for push in pushes {
        assert!(outbox.park(Waker::noop(), false));
        push().unwrap();
        assert!(!outbox.park(Waker::noop(), false));
        drain(&outbox);
    }
}

#[test]
fn outbox_short_broadcast_is_taken_with_what_follows_it() {
    let log = BroadcastLog::default();
    let outbox = outbox(usize::MAX, usize::MAX);
    let small = message(10);
    outbox.push_broadcast(&log.broadcast(&small, &outbox.total, CLIENTS), false).unwrap();
    outbox.queue_up(&small).unwrap();
    assert_eq!(drain(&outbox).iter().map(|segment| segment.bytes().len()).collect::<Vec<_>>(), [20]);
}

#[test]
fn outbox_queued_messages_come_out_in_order_large_broadcasts_apart() {
    let log = BroadcastLog::default();
    let outbox = outbox(usize::MAX, usize::MAX);
    let (small, large) = (message(10), message(SHARE_FROM));
    outbox.queue_up(&small).unwrap();
    outbox.push_broadcast(&log.broadcast(&small, &outbox.total, CLIENTS), false).unwrap();
    outbox.push_broadcast(&log.broadcast(&large, &outbox.total, CLIENTS), false).unwrap();
    outbox.queue_up(&small).unwrap();
    let lens: Vec<_> = drain(&outbox).iter().map(|segment| segment.bytes().len()).collect();
    assert_eq!(lens, [20, SHARE_FROM, 10]);
}

#[test]
fn outbox_push_while_session_is_awake_wakes_nobody() {
    let outbox = outbox(100, 1_000);
    let woken = Arc::new(Count::default());
    let park = || outbox.park(&Waker::from(Arc::clone(&woken)), false);
    assert!(park());
    // The socket has woken the session.
    outbox.unpark();
    outbox.queue_up(b"x\n").unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 0, "it is awake");
    assert!(!park(), "there is something to write");
    assert_eq!(bytes_of(&drain(&outbox)), b"x\n");
    assert!(park());
    outbox.queue_up(b"x\n").unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[test]
fn outbox_two_wakers_parked_wakes_the_last() {
    let outbox = outbox(100, 100);
    let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
    for count in &counts {
        assert!(outbox.park(&Waker::from(Arc::clone(count)), false));
    }
    outbox.queue_up(&message(10)).unwrap();
    assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
}

#[test]
fn outbox_aborted_inside_a_chunk_counts_unsent_messages_exactly() {
    let log = BroadcastLog::default();
    let total = OutboxBudget::new(usize::MAX);
    let outboxes = [(); 2].map(|()| Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new()));
    let (len, count) = (100, SHARE_FROM / 50);
    for _ in 0..count {
        let bytes = message(len);
        let broadcast = log.broadcast(&bytes, &total, CLIENTS);
        for outbox in &outboxes {
            outbox.push_broadcast(&broadcast, false).unwrap();
        }
    }
    assert_eq!(queued(&total, &outboxes), 2 * count * len);
    let segment = outboxes[0].take().unwrap();
    assert!(matches!(segment, Segment::Span(_)), "many bytes are written from the shared chunk");
    // Two and a half messages were written.
    let written = 5 * len / 2;
    outboxes[0].written(&segment, written, false);
    outboxes[0].queue_up(&message(len)).unwrap();
    let unsent = Unsent { messages: count as u64 - 1, bytes: ((count + 1) * len - written) as u64 };
    assert_eq!(outboxes[0].give_up(Wire::JSON_LINES, Some((segment, written))), unsent);
    assert_eq!(queued(&total, &outboxes), count * len);
    assert_eq!(bytes_of(&drain(&outboxes[1])), message(len).repeat(count));
    assert_eq!(queued(&total, &outboxes), 0);
}

#[test]
fn outbox_given_up_during_a_write_leaves_the_rest_to_the_session() {
    let total = OutboxBudget::new(usize::MAX);
    let outbox = Outbox::new(1_000, Arc::clone(&total), Metrics::new());
    outbox.queue_up(&message(10)).unwrap();
    outbox.queue_up(&message(20)).unwrap();
    let writing = outbox.take().unwrap();
    outbox.written(&writing, 10, false);
    outbox.queue_up(&message(5)).unwrap();
    let unsent = outbox.give_up(Wire::JSON_LINES, None);
    assert_eq!((unsent.messages, unsent.bytes), (3, 25), "without the segment that is being written");
    assert_eq!(queued(&total, [&outbox]), 20);
    assert_eq!(outbox.give_up(Wire::JSON_LINES, Some((writing, 10))), unsent);
    assert_eq!(queued(&total, [&outbox]), 0);
}
