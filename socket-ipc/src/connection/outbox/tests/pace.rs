//! Which slow consumer is to blame, and how long a paced broadcast waits for one.

use super::*;

#[test]
fn outbox_patience_used_up_paced_broadcast_is_rejected_by_full_outbox() {
    let (patience, start) = (Duration::from_secs(10), Instant::now());
    let log = BroadcastLog::default();
    let full = outbox(100, usize::MAX);
    full.queue_up(&message(80)).unwrap();
    let bytes = message(40);
    let broadcast = log.broadcast(&bytes, &full.total, CLIENTS);
    assert_eq!((full.patience(patience), full.is_left_behind()), (Some(patience), false));
    full.was_waited_for(start, start + patience - Duration::from_secs(1));
    assert_eq!(full.patience(patience), Some(Duration::from_secs(1)));
    full.was_waited_for(start, start + patience);
    assert_eq!((full.patience(patience), full.is_left_behind()), (None, true));
    assert_eq!(full.push_broadcast(&broadcast, true), Err(PushError::Full { queued: 80 }));
}

#[test]
fn outbox_within_its_share_is_not_to_blame() {
    let (stall, now) = (Duration::from_secs(10), Instant::now());
    let (_, [behind, reading]) = outboxes(1_000);
    behind.queue_up(&message(500)).unwrap();
    reading.queue_up(&message(501)).unwrap();
    behind.blocked(now, stall);
    assert!(!behind.is_to_blame(now + stall, stall));
    behind.queue_up(&message(1)).unwrap();
    assert!(behind.is_to_blame(now + stall, stall));
    assert!(!reading.is_to_blame(now + stall, stall));
}

#[test]
fn outbox_below_high_water_has_caught_up() {
    let (stall, now) = (Duration::from_secs(10), Instant::now());
    let (_, [behind, _other]) = outboxes(1_000);
    behind.queue_up(&message(600)).unwrap();
    behind.blocked(now, stall);
    assert!(behind.is_to_blame(now + stall, stall));
    let segment = behind.take().unwrap();
    behind.written(&segment, 1, false);
    assert!(!behind.is_to_blame(now + stall, stall));
}

#[test]
fn outbox_total_full_slow_consumer_is_behind_and_over_its_share() {
    let (total, [greedy, modest]) = outboxes(MANY);
    let stall = Duration::from_secs(10);
    let now = Instant::now();
    greedy.queue_up(&message(MANY - OUTBOX_HIGH_WATER)).unwrap();
    modest.queue_up(&message(OUTBOX_HIGH_WATER)).unwrap();
    greedy.blocked(now, stall);
    modest.blocked(now, stall);
    for outbox in [&greedy, &modest] {
        outbox.blocked(now + stall, stall);
        assert!(!outbox.is_told_to_close(), "nobody needs room");
    }
    assert_eq!(modest.queue_up(&message(1)), Err(PushError::TotalFull));
    greedy.blocked(now + stall - Duration::from_millis(1), stall);
    assert!(!greedy.is_told_to_close(), "not for long");
    modest.blocked(now + stall, stall);
    assert!(!modest.is_told_to_close(), "it holds less than its share");
    greedy.blocked(now + stall, stall);
    assert!(matches!(greedy.take_close(), Some(CloseCommand::Abort(CloseCause::SlowClient))));
    // An outbox that was below the high-water mark in between is not behind.
    let again = Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new());
    again.blocked(now, stall);
    again.queue_up(&message(10)).unwrap();
    drain(&again);
    again.blocked(now + stall, stall);
    assert!(!again.is_to_blame(now + stall, stall));
}
