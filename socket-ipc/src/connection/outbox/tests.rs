use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{collection, proptest};
use tokio::time::{Instant, timeout};

use super::broadcast::SHARE_FROM;
use super::replies::{HELD_REPLIES, SHORT_REPLY};
use super::uncounted::STEP;
use super::{
    BroadcastLog, CloseCommand, Outbox, OutboxBudget, PushError, Replied, Segment, Unsent, counted_for,
};
use crate::events::CloseCause;
use crate::limits::OUTBOX_HIGH_WATER;
use crate::metrics::Metrics;
use crate::topic::TopicName;
use crate::wire::Wire;

/// So many clients that a broadcast is shared between them.
const CLIENTS: usize = 2;

fn outbox(limit: usize, total: usize) -> Outbox {
    Outbox::new(limit, OutboxBudget::new(total), Metrics::new())
}

impl Outbox {
    /// Queues a message of a topic that does not matter.
    fn queue_up(&self, message: &[u8]) -> Result<(), PushError> {
        self.push(message, TopicName::AtRunTime("any"))
    }
}

fn message(len: usize) -> Vec<u8> {
    [vec![b'x'; len - 1], vec![b'\n']].concat()
}

/// Takes everything that is queued, as if all of it had been written.
fn drain(outbox: &Outbox) -> Vec<Segment> {
    std::iter::from_fn(|| outbox.take())
        .inspect(|segment| outbox.written(segment, segment.bytes().len(), true))
        .collect()
}

fn bytes_of(segments: &[Segment]) -> Vec<u8> {
    segments.iter().flat_map(Segment::bytes).copied().collect()
}

/// The bytes that the total counts. They are exact for these outboxes, which settle first.
fn queued<O: Borrow<Outbox>>(total: &OutboxBudget, outboxes: impl IntoIterator<Item = O>) -> usize {
    outboxes.into_iter().for_each(|outbox| outbox.borrow().settle());
    total.queued()
}

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
fn outbox_given_up_or_broken_off_loses_replies() {
    let (given_up, broken_off) = (outbox(100, usize::MAX), outbox(100, usize::MAX));
    given_up.give_up(Wire::JSON_LINES, None);
    broken_off.break_off();
    assert_eq!(given_up.push_reply(&message(10)), Replied::Lost);
    assert_eq!(broken_off.push_reply(&message(10)), Replied::Lost);
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

#[tokio::test]
async fn outbox_ended_senders_do_not_wait() {
    let outbox = outbox(100, 100);
    assert_eq!(outbox.wait_until(|_| true).await, Ok(()));
    outbox.end();
    assert_eq!(outbox.wait_until(|_| true).await, Err(PushError::Ended));
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

/// A waker that counts its wake-ups.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
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

/// Outboxes that share a total limit of `limit` bytes.
fn outboxes<const COUNT: usize>(limit: usize) -> (Arc<OutboxBudget>, [Outbox; COUNT]) {
    let total = OutboxBudget::new(limit);
    let outboxes = [(); COUNT].map(|()| Outbox::new(usize::MAX, Arc::clone(&total), Metrics::new()));
    (total, outboxes)
}

const MANY: usize = 16 * OUTBOX_HIGH_WATER;

#[test]
fn outbox_total_full_takes_up_to_high_water_and_rejects_more() {
    let (total, [first, second]) = outboxes(MANY);
    first.queue_up(&message(MANY)).unwrap();
    assert_eq!(
        second.queue_up(&message(OUTBOX_HIGH_WATER + 1)),
        Err(PushError::TotalFull),
        "though it is empty"
    );
    assert!(!second.has_room(OUTBOX_HIGH_WATER + 1) && second.has_room(OUTBOX_HIGH_WATER));
    second.queue_up(&message(OUTBOX_HIGH_WATER)).unwrap();
    assert_eq!(second.queue_up(&message(1)), Err(PushError::TotalFull));
    assert_eq!(queued(&total, [&first, &second]), MANY + OUTBOX_HIGH_WATER);
    assert_eq!(total.most(), MANY + OUTBOX_HIGH_WATER);
    drain(&first);
    second.queue_up(&message(MANY - OUTBOX_HIGH_WATER)).unwrap();
    assert_eq!(second.queue_up(&message(1)), Err(PushError::TotalFull));
}

#[test]
fn outbox_few_bytes_are_counted_in_the_total_at_a_step_at_a_write_and_at_the_end() {
    let (total, [first, second]) = outboxes(usize::MAX);
    for outbox in [&first, &second] {
        outbox.queue_up(&message(10)).unwrap();
        assert_eq!(total.queued(), 0);
        outbox.queue_up(&message(STEP - 10)).unwrap();
        assert_eq!(total.queued(), STEP);
        outbox.queue_up(&message(10)).unwrap();
        assert_eq!(total.queued(), STEP);
        let segment = outbox.take().unwrap();
        assert_eq!((total.queued(), total.most()), (STEP + 10, STEP + 10));
        outbox.written(&segment, STEP + 10, true);
        assert_eq!(total.queued(), 0);
        outbox.queue_up(&message(10)).unwrap();
        outbox.give_up(Wire::JSON_LINES, None);
        assert_eq!(total.queued(), 0);
    }
}

#[test]
fn outbox_step_matches_documentation() {
    let stated = format!("up to {} KiB of", STEP / 1024);
    for text in [include_str!("../../limits/mod.rs"), include_str!("../../guide/limits.md")] {
        assert!(text.contains(&stated), "{stated}");
    }
}

#[test]
fn outbox_sent_messages_are_counted_by_topic_once_settled() {
    let metrics = Metrics::new();
    let outbox = Outbox::new(usize::MAX, OutboxBudget::new(usize::MAX), Arc::clone(&metrics));
    let topics = ["first", "first", "second", "first"].map(TopicName::OfType);
    for topic in topics.into_iter().chain([TopicName::AtRunTime("third")]) {
        outbox.push(&message(10), topic).unwrap();
    }
    outbox.settle();
    let stats = metrics.stats(1, 0, 0);
    let sent: Vec<_> =
        stats.topics.iter().map(|topic| (&*topic.topic, topic.sent.messages, topic.sent.bytes)).collect();
    assert_eq!(sent, [("first", 3, 30), ("second", 1, 10)]);
    assert_eq!((stats.other_topics.sent.messages, stats.other_topics.sent.bytes), (1, 10));
    outbox.push(&message(10), topics[0]).unwrap();
    outbox.give_up(Wire::JSON_LINES, None);
    assert_eq!(metrics.stats(1, 0, 0).sent.messages, 6, "the end settles it");
}

#[test]
fn outbox_total_empty_takes_any_message() {
    let (total, [first, second]) = outboxes(10);
    first.queue_up(&message(MANY)).unwrap();
    assert_eq!(second.queue_up(&message(MANY)), Err(PushError::TotalFull));
    drain(&first);
    second.queue_up(&message(MANY)).unwrap();
    assert_eq!(queued(&total, [&first, &second]), MANY);
}

#[test]
fn outbox_total_shared_by_threads_is_exceeded_by_high_water_at_most() {
    let (total, outboxes) = outboxes::<3>(MANY);
    let len = OUTBOX_HIGH_WATER + 10;
    std::thread::scope(|scope| {
        for outbox in &outboxes {
            let total = &total;
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let _ = outbox.queue_up(&message(len));
                    assert!(total.most() <= MANY + 3 * OUTBOX_HIGH_WATER);
                    drain(outbox);
                }
            });
        }
    });
    assert_eq!(queued(&total, &outboxes), 0);
}

/// Whether a sender of `len` bytes still waits once `released` of the 100 bytes of a full total of 100 are released.
async fn still_waits_for_room(len: usize, released: usize) -> bool {
    let total = OutboxBudget::new(100);
    total.add(100);
    let waiting = Arc::clone(&total);
    let waiting = tokio::spawn(async move { waiting.wait_for_room(len).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    total.subtract(released);
    timeout(Duration::from_secs(1), waiting).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn outbox_total_has_just_enough_room_wakes_sender() {
    assert!(!still_waits_for_room(50, 50).await);
    assert!(still_waits_for_room(50, 49).await);
}

#[tokio::test(start_paused = true)]
async fn outbox_total_empty_wakes_sender_of_message_over_the_limit() {
    assert!(!still_waits_for_room(200, 100).await);
    assert!(still_waits_for_room(200, 99).await);
}

#[test]
fn outbox_total_peak_does_not_count_chunks() {
    let total = OutboxBudget::new(usize::MAX);
    total.chunk_grows(50_000);
    total.add(10);
    assert_eq!((total.queued(), total.most()), (10, 10));
    total.add(50_000);
    assert_eq!((total.queued(), total.most()), (50_010, 50_010));
}

#[test]
fn outbox_total_share_grows_as_outboxes_go() {
    let total = OutboxBudget::new(1_000);
    let [first, second] = [(); 2].map(|()| Outbox::new(100, Arc::clone(&total), Metrics::new()));
    assert_eq!((total.share(), first.total(), first.limit()), (500, (0, 1_000), 100));
    drop(first);
    assert_eq!(total.share(), 1_000);
    drop(second);
    assert_eq!(total.share(), 1_000);
}

#[test]
fn outbox_reply_within_both_limits_does_not_make_it_overfull() {
    let outbox = outbox(1_000, 1_000);
    outbox.queue_up(&message(10)).unwrap();
    assert_eq!(outbox.push_reply(&message(10)), Replied::Queued);
    assert!(!outbox.is_overfull());
}

#[tokio::test(start_paused = true)]
async fn outbox_total_full_paced_sender_below_high_water_does_not_wait() {
    let (_, [full, other]) = outboxes(MANY);
    full.queue_up(&message(MANY)).unwrap();
    let room = timeout(Duration::from_secs(1), other.wait_for_room(OUTBOX_HIGH_WATER));
    assert_eq!(room.await.expect("it does not wait"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn outbox_total_full_waiting_sender_is_woken_by_another_outbox() {
    let (_, [first, second]) = outboxes(MANY);
    let second = Arc::new(second);
    let len = 2 * OUTBOX_HIGH_WATER;
    first.queue_up(&message(MANY)).unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let second = Arc::clone(&second);
            tokio::spawn(async move { second.wait_for_room(len).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    drain(&first);
    for waiting in waiting {
        assert_eq!(timeout(Duration::from_secs(1), waiting).await.expect("it is woken").unwrap(), Ok(()));
    }
    first.queue_up(&message(MANY)).unwrap();
    let ending = Arc::clone(&second);
    let waiting = tokio::spawn(async move { ending.wait_for_room(len).await });
    tokio::task::yield_now().await;
    second.end();
    let ended = timeout(Duration::from_secs(1), waiting).await.expect("it is woken").unwrap();
    assert_eq!(ended, Err(PushError::Ended));
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
