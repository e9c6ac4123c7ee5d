use std::collections::{BTreeMap, HashSet};

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, proptest};

use super::*;
use crate::connection::outbox::{BroadcastLog, OutboxBudget, Segment, Unsent};
use crate::metrics::Metrics;
use crate::topic::TopicName;
use crate::wire::Wire;

/// So many clients that a broadcast is shared between them.
const CLIENTS: usize = 2;

const TOPICS: [&str; 3] = ["first", "second", "third"];

fn outbox(limit: usize, total: &Arc<OutboxBudget>) -> Outbox {
    Outbox::new(limit, Arc::clone(total), Metrics::new())
}

/// A line of `len` bytes that tells topic and number.
fn line(topic: &str, number: usize, len: usize) -> Vec<u8> {
    let mut line = format!("{topic} {number} ").into_bytes();
    line.resize(line.len().max(len - 1), b'x');
    line.push(b'\n');
    line
}

/// The topic and number of each line.
fn read(bytes: &[u8]) -> Vec<(&str, usize)> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    let parts = lines.map(|line| line.splitn(3, ' ').collect::<Vec<_>>());
    parts.map(|parts| (parts[0], parts[1].parse().unwrap())).collect()
}

/// Puts a message into each outbox.
fn put(
    log: &BroadcastLog,
    outboxes: &[&Outbox],
    topic: &str,
    bytes: &[u8],
) -> Vec<Result<Placed, PushError>> {
    let index = outboxes[0].metrics.index_of(TopicName::AtRunTime(topic));
    let latest = LatestBroadcast::new(log.broadcast(bytes, &outboxes[0].total, CLIENTS), topic, index);
    outboxes.iter().map(|outbox| outbox.push_latest(&latest)).collect()
}

fn put_one(outbox: &Outbox, topic: &str, bytes: &[u8]) -> Result<Placed, PushError> {
    put(&BroadcastLog::default(), &[outbox], topic, bytes)[0]
}

/// Takes everything that is queued, as if all of it had been written.
fn drain(outbox: &Outbox) -> Vec<u8> {
    std::iter::from_fn(|| outbox.take())
        .flat_map(|segment| {
            outbox.written(&segment, segment.bytes().len(), true);
            segment.bytes().to_vec()
        })
        .collect()
}

#[test]
fn latest_above_high_water_keeps_one_message_a_topic() {
    let total = OutboxBudget::new(usize::MAX);
    let outbox = outbox(usize::MAX, &total);
    assert_eq!(put_one(&outbox, "first", &line("first", 1, 20)), Ok(Placed::Queued));
    outbox.push(&line("other", 2, OUTBOX_HIGH_WATER), TopicName::AtRunTime("other")).unwrap();
    assert_eq!(put_one(&outbox, "first", &line("first", 3, 20)), Ok(Placed::Deferred));
    assert_eq!(put_one(&outbox, "second", &line("second", 4, 20)), Ok(Placed::Deferred));
    assert_eq!(put_one(&outbox, "first", &line("first", 5, 20)), Ok(Placed::Replaced));
    assert_eq!(
        read(&drain(&outbox)),
        [("first", 1), ("other", 2), ("first", 5), ("second", 4)],
        "in the order in which the topics were deferred"
    );
    assert_eq!(total.queued(), 0);
    assert_eq!(put_one(&outbox, "first", &line("first", 6, 20)), Ok(Placed::Queued), "it has caught up");
}

#[test]
fn latest_is_queued_once_the_queue_is_at_high_water() {
    let total = OutboxBudget::new(usize::MAX);
    let outbox = outbox(usize::MAX, &total);
    outbox.push(&line("other", 1, OUTBOX_HIGH_WATER + 10), TopicName::AtRunTime("other")).unwrap();
    assert_eq!(put_one(&outbox, "first", &line("first", 2, 20)), Ok(Placed::Deferred));
    let segment = outbox.take().unwrap();
    outbox.written(&segment, 9, false);
    assert!(outbox.take().is_none(), "one byte above it");
    outbox.written(&segment, 1, false);
    assert_eq!(read(outbox.take().unwrap().bytes()), [("first", 2)]);
}

#[test]
fn latest_bytes_are_shared_and_counted_once_while_they_wait() {
    let total = OutboxBudget::new(usize::MAX);
    let outboxes = [(); 3].map(|()| outbox(usize::MAX, &total));
    for outbox in &outboxes {
        outbox.push(&line("other", 1, OUTBOX_HIGH_WATER + 1), TopicName::AtRunTime("other")).unwrap();
    }
    let (full, log) = (total.queued(), BroadcastLog::default());
    for len in [100, 50_000, 200] {
        put(&log, &outboxes.each_ref(), "first", &line("first", 2, len));
        assert_eq!(total.queued(), full + len);
    }
    for (at, outbox) in outboxes.iter().enumerate() {
        assert_eq!(read(&drain(outbox)).last(), Some(&("first", 2)));
        let left = outboxes.len() - at - 1;
        let waiting = if left > 0 { 200 } else { 0 };
        assert_eq!(total.queued(), left * (OUTBOX_HIGH_WATER + 1) + waiting);
    }
}

#[test]
fn latest_of_several_topics_over_the_limit_is_full() {
    let total = OutboxBudget::new(usize::MAX);
    let outbox = outbox(OUTBOX_HIGH_WATER + 200, &total);
    outbox.push(&line("other", 1, OUTBOX_HIGH_WATER + 100), TopicName::AtRunTime("other")).unwrap();
    assert_eq!(put_one(&outbox, "first", &line("first", 2, 1_000)), Ok(Placed::Deferred), "a single one");
    assert_eq!(put_one(&outbox, "first", &line("first", 3, 2_000)), Ok(Placed::Replaced), "and a longer one");
    let full = Err(PushError::Full { queued: OUTBOX_HIGH_WATER + 2_100 });
    assert_eq!(put_one(&outbox, "second", &line("second", 4, 20)), full);
    assert_eq!(put_one(&outbox, "first", &line("first", 5, 50)), Ok(Placed::Replaced));
    assert_eq!(put_one(&outbox, "second", &line("second", 6, 50)), Ok(Placed::Deferred));
    let full = Err(PushError::Full { queued: OUTBOX_HIGH_WATER + 200 });
    assert_eq!(put_one(&outbox, "third", &line("third", 7, 20)), full);
    let sent = outbox.push(&line("other", 8, 20), TopicName::AtRunTime("other"));
    assert_eq!(sent, Err(PushError::Full { queued: OUTBOX_HIGH_WATER + 200 }), "what waits is counted");
    assert_eq!(read(&drain(&outbox)), [("other", 1), ("first", 5), ("second", 6)]);
}

#[test]
fn latest_given_up_counts_as_unsent() {
    let total = OutboxBudget::new(usize::MAX);
    let outbox = outbox(usize::MAX, &total);
    outbox.push(&line("other", 1, OUTBOX_HIGH_WATER + 1), TopicName::AtRunTime("other")).unwrap();
    put_one(&outbox, "first", &line("first", 2, 20)).unwrap();
    put_one(&outbox, "first", &line("first", 3, 30)).unwrap();
    let unsent = Unsent { messages: 2, bytes: OUTBOX_HIGH_WATER as u64 + 31 };
    assert_eq!(outbox.give_up(Wire::JSON_LINES, None), unsent);
    assert_eq!(total.queued(), 0);
    assert_eq!(put_one(&outbox, "first", &line("first", 4, 20)), Err(PushError::Ended));
}

#[test]
fn latest_is_counted_as_sent_when_it_is_queued() {
    let (total, metrics) = (OutboxBudget::new(usize::MAX), Metrics::new());
    let outbox = Outbox::new(usize::MAX, Arc::clone(&total), Arc::clone(&metrics));
    let sent = || {
        outbox.settle();
        metrics.stats(1, 0, 0).sent.messages
    };
    outbox.push(&line("other", 1, OUTBOX_HIGH_WATER + 1), TopicName::AtRunTime("other")).unwrap();
    put_one(&outbox, "first", &line("first", 2, 20)).unwrap();
    put_one(&outbox, "first", &line("first", 3, 20)).unwrap();
    assert_eq!(sent(), 1);
    drain(&outbox);
    assert_eq!(sent(), 2);
}

#[test]
fn latest_total_full_waits_and_is_queued_within_high_water() {
    let total = OutboxBudget::new(4 * OUTBOX_HIGH_WATER);
    let [full, other] = [(); 2].map(|()| outbox(usize::MAX, &total));
    full.push(&line("other", 1, 4 * OUTBOX_HIGH_WATER), TopicName::AtRunTime("other")).unwrap();
    other.push(&line("other", 2, OUTBOX_HIGH_WATER - 30), TopicName::AtRunTime("other")).unwrap();
    assert_eq!(put_one(&other, "first", &line("first", 3, 20)), Ok(Placed::Queued));
    assert_eq!(put_one(&other, "first", &line("first", 4, 20)), Ok(Placed::Deferred));
    assert_eq!(read(&drain(&other)), [("other", 2), ("first", 3), ("first", 4)]);
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Latest { topic: usize, len: usize },
    Write(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![4 => 20..200usize, 2 => 1_000..40_000usize];
    prop_oneof![
        2 => len().prop_map(Step::Send),
        6 => (0..TOPICS.len(), len()).prop_map(|(topic, len)| Step::Latest { topic, len }),
        3 => prop_oneof![1 => 0..100usize, 1 => 0..60_000usize].prop_map(Step::Write),
    ]
}

/// An outbox, what was accepted for it, and what it has handed out.
struct Model {
    outbox: Outbox,
    writing: Option<(Segment, usize)>,
    written: Vec<u8>,
    sent: Vec<usize>,
    /// For each topic, the last number, and how many messages are to come.
    latest: BTreeMap<&'static str, (usize, usize)>,
    replaced: HashSet<usize>,
}

impl Model {
    fn new(limit: usize, total: &Arc<OutboxBudget>) -> Self {
        let outbox = outbox(limit, total);
        let (sent, latest, replaced) = (Vec::new(), BTreeMap::new(), HashSet::new());
        Self { outbox, writing: None, written: Vec::new(), sent, latest, replaced }
    }

    fn accept(&mut self, topic: &'static str, number: usize, placed: Placed) {
        let (last, count) = self.latest.entry(topic).or_insert((0, 0));
        match placed {
            Placed::Queued | Placed::Deferred => *count += 1,
            Placed::Replaced => drop(self.replaced.insert(*last)),
        }
        *last = number;
    }

    fn write(&mut self, mut count: usize) {
        while count > 0 {
            let next = self.writing.take().or_else(|| self.outbox.take().map(|segment| (segment, 0)));
            let Some((segment, at)) = next else { break };
            let end = segment.bytes().len().min(at.saturating_add(count));
            let done = end == segment.bytes().len();
            self.written.extend_from_slice(&segment.bytes()[at..end]);
            self.outbox.written(&segment, end - at, done);
            count -= end - at;
            if !done {
                self.writing = Some((segment, end));
            }
        }
    }

    /// What holds after every step.
    fn check(&self) {
        let queue = lock(&self.outbox.queue);
        let Some(deferred) = &queue.deferred else { return };
        assert_eq!(deferred.order.len(), deferred.by_topic.len());
        assert_eq!(deferred.len, deferred.by_topic.values().map(|waiting| waiting.len()).sum::<usize>());
        assert!(deferred.len > 0 && queue.queued_len() > 0, "nothing waits beside an empty queue");
        assert!(queue.len <= self.outbox.limit || deferred.by_topic.len() == 1);
    }

    /// Writes the rest, and checks all of it.
    fn finish(mut self) {
        self.write(usize::MAX);
        let read = read(&self.written);
        let of = |topic| read.iter().filter(move |(read, _)| *read == topic).map(|(_, number)| *number);
        assert!(of("sent").eq(self.sent.iter().copied()), "all, in order");
        for (topic, (last, count)) in &self.latest {
            assert_eq!(of(*topic).next_back(), Some(*last), "the last of {topic}");
            assert!(of(*topic).is_sorted());
            assert_eq!(of(*topic).count(), *count);
        }
        assert!(read.iter().all(|(topic, number)| *topic == "sent" || !self.replaced.contains(number)));
        assert_eq!(self.outbox.give_up(Wire::JSON_LINES, None), Unsent::default());
    }
}

proptest! {
    #[test]
    fn outbox_every_topic_ends_with_its_last_message(
        steps in collection::vec((step(), any::<bool>()), 1..100),
        limit in prop_oneof![Just(500), Just(100_000), Just(usize::MAX)],
        total in prop_oneof![Just(50_000), Just(usize::MAX)],
        gives_up in any::<bool>(),
    ) {
        let (log, total) = (BroadcastLog::default(), OutboxBudget::new(total));
        let mut models = [(); 2].map(|()| Model::new(limit, &total));
        for (number, (step, to)) in steps.into_iter().enumerate() {
            match step {
                Step::Send(len) => {
                    let model = &mut models[usize::from(to)];
                    let sent = line("sent", number, len);
                    if model.outbox.push(&sent, TopicName::AtRunTime("sent")).is_ok() {
                        model.sent.push(number);
                    }
                }
                Step::Latest { topic, len } => {
                    let topic = TOPICS[topic];
                    let [first, second] = &models;
                    let placed =
                        put(&log, &[&first.outbox, &second.outbox], topic, &line(topic, number, len));
                    for (model, placed) in models.iter_mut().zip(placed) {
                        if let Ok(placed) = placed {
                            model.accept(topic, number, placed);
                        }
                    }
                }
                Step::Write(count) => models[usize::from(to)].write(count),
            }
            models.iter().for_each(Model::check);
        }
        for mut model in models {
            if gives_up {
                let accepted = model.sent.len() + model.latest.values().map(|(_, count)| count).sum::<usize>();
                let unsent = model.outbox.give_up(Wire::JSON_LINES, model.writing.take());
                let written = model.written.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(unsent.messages as usize, accepted - written);
            } else {
                model.finish();
            }
        }
        assert_eq!(total.queued(), 0);
    }
}
