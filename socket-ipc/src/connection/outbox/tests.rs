use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::timeout;

use super::{Broadcast, Outbox, PushError, SHARE_FROM, Segment, Total, Unsent};
use crate::limits::OUTBOX_MARK;
use crate::wire::Wire;

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

#[test]
fn a_paced_broadcast_is_queued_over_the_limit_and_another_is_not() {
    let outbox = outbox(100, 1_000);
    outbox.push(&message(80)).unwrap();
    let bytes = message(40);
    let broadcast = Broadcast::new(&bytes, &outbox.total);
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
            outbox.push_broadcast(&Broadcast::new(&bytes, &outbox.total), false).unwrap();
            outbox.push_broadcast(&Broadcast::new(&bytes, &outbox.total), false).unwrap();
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
    outbox.push_broadcast(&Broadcast::new(&small, &outbox.total), false).unwrap();
    outbox.push_broadcast(&Broadcast::new(&large, &outbox.total), false).unwrap();
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

#[test]
fn the_waker_that_parked_last_is_woken() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let outbox = outbox(100, 100);
    let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
    for count in &counts {
        assert!(outbox.park(&Waker::from(Arc::clone(count)), false));
    }
    outbox.push(&message(10)).unwrap();
    assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
}
