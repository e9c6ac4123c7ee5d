//! A look at a server: what its stats and its messages say of the time since the last one.

use std::cmp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use socket_ipc::{Client, ConnectError, RequestError, Stats, TopicTraffic};

use crate::arguments_watching::{Column, Top};
use crate::failure::{Failure, say};
use crate::rates::{Rates, a_second};
use crate::reach::{self, Reached};
use crate::{description, listen};

/// How many topics are told apart by what arrived. A server may invent any number of them.
const TOPICS: usize = 1_000;

/// How long a server may take for its stats, at most and at least.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// What is known of a server. Its shape is documented in the help of `top`; what is not known is null.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    pub(crate) time: String,
    pub(crate) up: bool,
    /// Whether the server has replied with its stats once.
    #[serde(skip)]
    pub(crate) described: bool,
    pub(crate) clients: Option<u64>,
    pub(crate) received: Option<f64>,
    pub(crate) sent: Option<f64>,
    pub(crate) queued: Option<u64>,
    pub(crate) slow_consumers: Option<u64>,
    pub(crate) requests_in_flight: Option<u64>,
    pub(crate) streams_in_flight: Option<u64>,
    pub(crate) topics: Vec<Row>,
}

/// The rates of a topic. Its name is empty for all topics together that the server does not tell apart.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) topic: String,
    pub(crate) received: Option<f64>,
    pub(crate) sent: Option<f64>,
    pub(crate) bytes: Option<f64>,
    pub(crate) arrived: f64,
}

impl Look {
    /// Sorts the topics by a column: names from a on, and rates from the highest on.
    pub(crate) fn sort(&mut self, column: Column, reversed: bool) {
        let by_rate = |rate: fn(&Row) -> f64| move |a: &Row, b: &Row| rate(b).total_cmp(&rate(a));
        let order = |a: &Row, b: &Row| match column {
            Column::Topic => cmp::Ordering::Equal,
            Column::Received => by_rate(|row| row.received.unwrap_or(-1.0))(a, b),
            Column::Sent => by_rate(|row| row.sent.unwrap_or(-1.0))(a, b),
            Column::Bytes => by_rate(|row| row.bytes.unwrap_or(-1.0))(a, b),
            Column::Arrived => by_rate(|row| row.arrived)(a, b),
        };
        self.topics.sort_by(|a, b| order(a, b).then_with(|| a.topic.cmp(&b.topic)));
        if reversed {
            self.topics.reverse();
        }
    }
}

/// How many messages of each topic arrived.
type Arrived = BTreeMap<String, u64>;

/// A client that looks at its server.
pub(crate) struct Watch {
    reached: Reached,
    arrived: Arc<Mutex<Arrived>>,
    knows_stats: KnowsStats,
    /// Whether the client has connected again since the last look.
    again: Arc<AtomicBool>,
    timeout: Duration,
    before: Sample,
}

/// Whether the server replies to the request for its stats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnowsStats {
    Perhaps,
    /// It has replied once.
    Yes,
    No,
}

/// What was counted at a moment.
struct Sample {
    at: Instant,
    stats: Option<Stats>,
    arrived: Arrived,
}

impl Watch {
    pub(crate) async fn start(arguments: &Top, on_screen: bool) -> Result<Self, Failure> {
        let Top { server, patience, interval, .. } = arguments;
        let reached = reach::quiet_client(server, patience);
        let client = &reached.client;
        let arrived = Arc::new(Mutex::new(Arrived::new()));
        let arriving = Arc::clone(&arrived);
        client.on_message(move |_, topic| {
            let mut arrived = arriving.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(count) = arrived.get_mut(topic) {
                *count += 1;
            } else {
                let topic = if arrived.len() < TOPICS { topic } else { "" };
                *arrived.entry(topic.to_owned()).or_default() += 1;
            }
        });
        let again = Arc::new(AtomicBool::new(false));
        let connected = Arc::clone(&again);
        client.on_reconnect(move || connected.store(true, Ordering::Relaxed));
        // Lines on standard error would stand in the middle of the screen.
        if !on_screen {
            reached.say_what_is_wrong();
        }
        if !on_screen && patience.retry {
            reach::say_what_is_new(client);
        }
        connect(client, patience.retry).await?;
        if !on_screen {
            if !patience.retry {
                reach::say_what_is_new(client);
            }
            client.on_reconnect(|| say("connected to the server again"));
            listen::say_losses(client);
        }
        let before = Sample { at: Instant::now(), stats: None, arrived: Arrived::new() };
        let timeout = (*interval).clamp(PATIENCE.0, PATIENCE.1);
        let mut watch = Self { reached, arrived, knows_stats: KnowsStats::Perhaps, again, timeout, before };
        let other_wire = watch.reached.other_wire.clone();
        watch.before = other_wire.or(async { Ok(watch.sample().await) }).await?;
        Ok(watch)
    }

    /// Looks again after a while. Fails if the server turns out to speak another wire.
    pub(crate) async fn look_after(&mut self, interval: Duration) -> Result<Look, Failure> {
        let other_wire = self.reached.other_wire.clone();
        let looking = async {
            tokio::time::sleep(interval).await;
            let after = self.sample().await;
            let described = self.knows_stats == KnowsStats::Yes;
            let look = between(&self.before, &after, self.reached.client.is_connected(), described);
            self.before = after;
            Ok(look)
        };
        other_wire.or(looking).await
    }

    async fn sample(&mut self) -> Sample {
        // Another server may have taken the place of one that has no stats.
        if self.again.swap(false, Ordering::Relaxed) && self.knows_stats == KnowsStats::No {
            self.knows_stats = KnowsStats::Perhaps;
        }
        let stats = if self.knows_stats == KnowsStats::No { None } else { self.stats().await };
        let arrived = self.arrived.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        Sample { at: Instant::now(), stats, arrived }
    }

    async fn stats(&mut self) -> Option<Stats> {
        match description::stats(&self.reached.client, self.timeout).await {
            Ok(reply) => {
                self.knows_stats = KnowsStats::Yes;
                reply.decode().ok()
            }
            Err(RequestError::NoResponder { .. }) => {
                self.knows_stats = KnowsStats::No;
                None
            }
            // One that never replied is of another kind, and takes the request for a message. Another one is busy, or
            // stopped.
            Err(RequestError::Timeout { .. }) => {
                if self.knows_stats == KnowsStats::Perhaps {
                    self.knows_stats = KnowsStats::No;
                }
                None
            }
            Err(_) => None,
        }
    }
}

/// Connects for the first time; later the client does so by itself.
async fn connect(client: &Client, retry: bool) -> Result<(), ConnectError> {
    if retry { client.connect().await } else { client.connect_once().await }
}

/// The rates between two samples. Those of the server need its stats in both.
fn between(before: &Sample, after: &Sample, up: bool, described: bool) -> Look {
    let passed = after.at.duration_since(before.at);
    let rate = |before: u64, after: u64| a_second(before, after, passed);
    let mut rows = BTreeMap::<String, Row>::new();
    for (topic, count) in &after.arrived {
        let arrived = rate(before.arrived.get(topic).copied().unwrap_or(0), *count);
        rows.insert(topic.clone(), Row { topic: topic.clone(), arrived, ..Row::default() });
    }
    let both = before.stats.as_ref().zip(after.stats.as_ref());
    if let Some((earlier, later)) = both {
        for topic in later.topics.iter().chain([&later.other_topics]) {
            if description::is_about_the_server(&topic.topic) {
                continue;
            }
            let earlier = traffic(earlier, &topic.topic);
            let row = rows
                .entry(topic.topic.clone())
                .or_insert_with(|| Row { topic: topic.topic.clone(), ..Row::default() });
            let messages = |of: fn(&TopicTraffic) -> u64| rate(earlier.map_or(0, of), of(topic));
            row.received = Some(messages(|topic| topic.received.messages));
            row.sent = Some(messages(|topic| topic.sent.messages));
            row.bytes = Some(messages(|topic| topic.received.bytes + topic.sent.bytes));
        }
    }
    let total = both.map(|(earlier, later)| Rates::between(earlier, later, passed));
    let stats = after.stats.as_ref();
    Look {
        time: format!("{:.3}", Timestamp::now()),
        up,
        described,
        // Without this one.
        clients: stats.map(|stats| stats.open_connections.saturating_sub(1)),
        received: total.map(|total| total.received),
        sent: total.map(|total| total.sent),
        queued: stats.map(|stats| stats.outbox_len),
        slow_consumers: stats.map(|stats| stats.slow_consumers),
        requests_in_flight: stats.map(|stats| stats.requests_in_flight),
        streams_in_flight: stats.map(|stats| stats.streams_in_flight),
        topics: rows.into_values().collect(),
    }
}

fn traffic<'s>(stats: &'s Stats, name: &str) -> Option<&'s TopicTraffic> {
    if name.is_empty() {
        return Some(&stats.other_topics);
    }
    stats.topics.iter().find(|topic| topic.topic == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What was counted: each number is another one, and those of `twice` are twice as large.
    fn sample(at: Instant, twice: u64) -> Sample {
        let traffic = |messages: u64| json!({"messages": messages * twice, "bytes": 100 * messages * twice});
        let topic = |name: &str, received: u64, sent: u64| json!({"topic": name, "received": traffic(received), "sent": traffic(sent)});
        let stats = json!({
            "open_connections": 4, "total_connections": 5, "message_errors": 6, "outbox_len": 7, "outbox_peak": 8,
            "slow_consumers": 9, "late_replies": 10, "requests_in_flight": 11, "streams_in_flight": 12,
            "received": traffic(40 + 60 + 1), "sent": traffic(80 + 10 + 2),
            "topics": [topic("news", 40, 80), topic(socket_ipc::description::STATS, 1, 2)], "other_topics": topic("", 60, 10),
        });
        let arrived = Arrived::from([("news".to_owned(), 30 * twice)]);
        Sample { at, stats: Some(serde_json::from_value(stats).unwrap()), arrived }
    }

    #[test]
    fn look_between_samples_has_each_number_in_its_place() {
        let begin = Instant::now();
        let (before, after) = (sample(begin, 1), sample(begin + Duration::from_secs(2), 2));
        let mut look = serde_json::to_value(between(&before, &after, true, true)).unwrap();
        look.as_object_mut().unwrap().remove("time").unwrap();
        let expected = json!({
            "up": true, "clients": 3, "received": 50.0, "sent": 45.0, "queued": 7, "slow_consumers": 9,
            "requests_in_flight": 11, "streams_in_flight": 12,
            "topics": [
                {"topic": "", "received": 30.0, "sent": 5.0, "bytes": 3500.0, "arrived": 0.0},
                {"topic": "news", "received": 20.0, "sent": 40.0, "bytes": 6000.0, "arrived": 15.0},
            ],
        });
        assert_eq!(look, expected);
        let look = between(&Sample { stats: None, ..before }, &after, false, true);
        assert_eq!((look.up, look.clients, look.received, look.sent), (false, Some(3), None, None));
        assert_eq!((look.topics.len(), look.topics[0].sent), (1, None));
    }
}
