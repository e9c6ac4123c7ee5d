//! The total of all outboxes, and what is counted in it.

use super::*;

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
    for text in [include_str!("../../../limits/mod.rs"), include_str!("../../../guide/limits.md")] {
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
