//! What an outbox takes: its limit, its high-water mark, and the senders that wait for room.

use super::*;

#[test]
fn outbox_full_takes_paced_broadcast_and_rejects_unpaced() {
    let log = BroadcastLog::default();
    let outbox = outbox(100, 1_000);
    outbox.queue_up(&message(80)).unwrap();
    let bytes = message(40);
    let broadcast = log.broadcast(&bytes, &outbox.total, CLIENTS);
    assert_eq!(outbox.push_broadcast(&broadcast, false), Err(PushError::Full { queued: 80 }));
    assert_eq!(outbox.push_broadcast(&broadcast, true), Ok(()));
    outbox.end();
    assert_eq!(outbox.push_broadcast(&broadcast, true), Err(PushError::Ended));
}

#[test]
fn outbox_message_counts_until_written() {
    let log = BroadcastLog::default();
    for len in [10, SHARE_FROM] {
        let (outbox, bytes) = (outbox(10 * SHARE_FROM, 10 * SHARE_FROM), message(len));
        let queue = || {
            outbox.queue_up(&bytes).unwrap();
            outbox.push_broadcast(&log.broadcast(&bytes, &outbox.total, CLIENTS), false).unwrap();
            outbox.push_broadcast(&log.broadcast(&bytes, &outbox.total, CLIENTS), false).unwrap();
            outbox.queue_up(&bytes).unwrap();
        };
        queue();
        drain(&outbox);
        queue();
        let unsent = Unsent { messages: 4, bytes: 4 * len as u64 };
        assert_eq!(outbox.give_up(Wire::JSON_LINES, None), unsent);
    }
}

#[test]
fn outbox_below_high_water_limit_and_total_has_room() {
    let (limit, total) = (OUTBOX_HIGH_WATER + 10, OUTBOX_HIGH_WATER + 20);
    let (outbox, other) = {
        let total = OutboxBudget::new(total);
        (Outbox::new(limit, Arc::clone(&total), Metrics::new()), Outbox::new(limit, total, Metrics::new()))
    };
    assert!(outbox.has_room(2 * limit), "an empty outbox takes any message");
    outbox.queue_up(&message(10)).unwrap();
    assert!(outbox.has_room(limit - 10));
    assert!(!outbox.has_room(limit - 9));
    outbox.queue_up(&message(OUTBOX_HIGH_WATER - 10)).unwrap();
    assert!(outbox.has_room(10));
    assert!(!outbox.has_room(11));
    // The other outbox is empty, so it takes a message that fills the total.
    other.queue_up(&message(20)).unwrap();
    other.settle();
    assert!(!outbox.has_room(10));
    drain(&other);
    assert!(outbox.has_room(10));
    outbox.queue_up(&message(1)).unwrap();
    assert!(!outbox.has_room(1));
}

#[test]
fn outbox_empty_takes_any_message_and_then_up_to_its_limit() {
    let full = outbox(100, usize::MAX);
    full.queue_up(&message(101)).unwrap();
    assert_eq!(full.queue_up(&message(1)), Err(PushError::Full { queued: 101 }));
    let full = outbox(100, usize::MAX);
    full.queue_up(&message(60)).unwrap();
    full.queue_up(&message(40)).unwrap();
    assert_eq!(full.queue_up(&message(1)), Err(PushError::Full { queued: 100 }));
}

#[tokio::test(start_paused = true)]
async fn outbox_sender_waiting_for_room_is_woken_once_it_is_written() {
    let outbox = Arc::new(outbox(usize::MAX, usize::MAX));
    outbox.queue_up(&message(OUTBOX_HIGH_WATER + 10)).unwrap();
    assert!(!outbox.is_empty());
    let waiting = Arc::clone(&outbox);
    let waiting = tokio::spawn(async move { waiting.wait_for_room(10).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drain(&outbox);
    assert!(outbox.is_empty());
    assert_eq!(timeout(Duration::from_secs(1), waiting).await.expect("it is woken").unwrap(), Ok(()));
}

#[tokio::test]
async fn outbox_ended_senders_do_not_wait() {
    let outbox = outbox(100, 100);
    assert_eq!(outbox.wait_until(|_| true).await, Ok(()));
    outbox.end();
    assert_eq!(outbox.wait_until(|_| true).await, Err(PushError::Ended));
}

#[tokio::test(start_paused = true)]
async fn flush_later_messages_queued_ends_when_earlier_ones_are_written() {
    let outbox = Arc::new(outbox(usize::MAX, usize::MAX));
    let much = message(2 * OUTBOX_HIGH_WATER);
    outbox.queue_up(&much).unwrap();
    let flushing = Arc::clone(&outbox);
    let flush = tokio::spawn(async move { flushing.flush().await });
    tokio::task::yield_now().await;
    let first = outbox.take().unwrap();
    outbox.queue_up(&much).unwrap();
    outbox.written(&first, much.len() - 1, false);
    tokio::task::yield_now().await;
    assert!(!flush.is_finished());
    outbox.written(&first, 1, true);
    assert_eq!(timeout(Duration::from_secs(1), flush).await.expect("it is woken").unwrap(), Ok(()));
}
