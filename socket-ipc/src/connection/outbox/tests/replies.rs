//! Replies: those that an outbox takes, those that wait, and when it is overfull.

use super::*;

#[test]
fn outbox_replies_over_the_limit_make_it_overfull() {
    let replied = |queued: &[usize]| {
        let outbox = outbox(100, usize::MAX);
        for len in queued {
            assert_eq!(outbox.push_reply(&message(*len)), Replied::Queued);
        }
        outbox.is_overfull()
    };
    assert!(replied(&[101]) && replied(&[50, 60]));
    assert!(!replied(&[100]) && !replied(&[40, 60]));
}

#[tokio::test]
async fn outbox_replies_that_wait_make_it_overfull() {
    let outbox = outbox(100, usize::MAX);
    outbox.queue_up(&message(40)).unwrap();
    let first = outbox.hold_reply(message(60)).unwrap();
    assert!(!outbox.is_overfull());
    let second = outbox.hold_reply(message(1)).unwrap();
    assert!(outbox.is_overfull());
    drop((first, second));
    // One alone may be of any length.
    assert!(outbox.hold_reply(message(100 * HELD_REPLIES + 1)).is_ok());
}

#[test]
fn outbox_overfull_by_the_total_stays_so_until_it_is_empty() {
    let total = OutboxBudget::new(100);
    let [full, other] = [(); 2].map(|()| Outbox::new(1_000, Arc::clone(&total), Metrics::new()));
    full.queue_up(&message(100)).unwrap();
    full.settle();
    assert_eq!(other.push_reply(&message(10)), Replied::Queued);
    assert!(!other.is_overfull());
    assert_eq!(other.push_reply(&message(10)), Replied::Queued);
    assert!(other.is_overfull());
    let segment = other.take().unwrap();
    other.written(&segment, 10, false);
    assert!(other.is_overfull());
    other.written(&segment, 10, true);
    assert!(!other.is_overfull());
}

#[test]
fn outbox_given_up_or_broken_off_loses_replies() {
    let (given_up, broken_off) = (outbox(100, usize::MAX), outbox(100, usize::MAX));
    given_up.give_up(Wire::JSON_LINES, None);
    broken_off.break_off();
    assert_eq!(given_up.push_reply(&message(10)), Replied::Lost);
    assert_eq!(broken_off.push_reply(&message(10)), Replied::Lost);
}

#[test]
fn outbox_reply_within_both_limits_does_not_make_it_overfull() {
    let outbox = outbox(1_000, 1_000);
    outbox.queue_up(&message(10)).unwrap();
    assert_eq!(outbox.push_reply(&message(10)), Replied::Queued);
    assert!(!outbox.is_overfull());
}

#[test]
fn outbox_total_full_rejects_replies_except_short_ones() {
    let (total, [first, second]) = outboxes(MANY);
    first.queue_up(&message(MANY)).unwrap();
    assert_eq!(second.push_reply(&message(OUTBOX_HIGH_WATER)), Replied::Queued);
    assert!(!second.is_overfull());
    assert_eq!(second.push_reply(&message(SHORT_REPLY + 1)), Replied::TotalFull);
    assert_eq!(second.push_reply(&message(SHORT_REPLY)), Replied::Queued);
    assert!(second.is_overfull(), "no further request is dispatched");
    drain(&second);
    assert!(!second.is_overfull());
    assert_eq!(queued(&total, [&first, &second]), MANY);
}

#[tokio::test]
async fn outbox_waiting_replies_are_counted_and_bounded() {
    let total = OutboxBudget::new(20 * MANY);
    let outbox = Outbox::new(MANY, Arc::clone(&total), Metrics::new());
    outbox.queue_up(&message(2 * OUTBOX_HIGH_WATER)).unwrap();
    let mut held: Vec<_> = (0..HELD_REPLIES).map(|_| outbox.hold_reply(message(MANY)).unwrap()).collect();
    assert!(outbox.is_overfull());
    let Err(error) = outbox.hold_reply(message(1)) else { panic!("as many as may wait already do") };
    assert_eq!(error, PushError::Full { queued: HELD_REPLIES * MANY });
    assert_eq!(queued(&total, [&outbox]), 2 * OUTBOX_HIGH_WATER + HELD_REPLIES * MANY);
    // One reply whose responder is dropped, and one that there is room for.
    held.pop();
    assert_eq!(queued(&total, [&outbox]), 2 * OUTBOX_HIGH_WATER + (HELD_REPLIES - 1) * MANY);
    drain(&outbox);
    assert_eq!(held.pop().unwrap().queue().await, Some(MANY));
    drop(held);
    assert_eq!(queued(&total, [&outbox]), MANY);
    drain(&outbox);
    assert_eq!(queued(&total, [&outbox]), 0);
    assert!(!outbox.is_overfull());

    let (_, [full, other]) = outboxes(MANY);
    full.queue_up(&message(MANY)).unwrap();
    let Err(error) = other.hold_reply(message(OUTBOX_HIGH_WATER + 1)) else { panic!("there is no room") };
    assert_eq!(error, PushError::TotalFull);
    let held = other.hold_reply(message(OUTBOX_HIGH_WATER)).unwrap();
    other.break_off();
    assert_eq!(held.queue().await, None);
    assert_eq!(queued(&full.total, [&full, &other]), MANY);
}
