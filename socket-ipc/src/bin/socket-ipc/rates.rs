//! Messages per second that a server receives and sends: the difference of two snapshots of its metrics.

use std::time::Duration;

use serde::Serialize;
use socket_ipc::Stats;

use crate::description;

/// Messages per second in both directions, without the messages of the command itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Rates {
    pub(crate) received: f64,
    pub(crate) sent: f64,
}

impl Rates {
    pub(crate) fn between(before: &Stats, after: &Stats, passed: Duration) -> Self {
        let (before, after) = (messages(before), messages(after));
        Self { received: a_second(before.0, after.0, passed), sent: a_second(before.1, after.1, passed) }
    }
}

/// How many more there are a second, to a tenth.
pub(crate) fn a_second(before: u64, after: u64, passed: Duration) -> f64 {
    let rate = after.saturating_sub(before) as f64 / passed.as_secs_f64().max(f64::MIN_POSITIVE);
    (10.0 * rate).round() / 10.0
}

/// The number of messages received and sent, without requests about the server itself and their replies.
fn messages(stats: &Stats) -> (u64, u64) {
    let own = stats.topics.iter().filter(|topic| description::is_about_the_server(&topic.topic));
    own.fold((stats.received.messages, stats.sent.messages), |(received, sent), own| {
        (received.saturating_sub(own.received.messages), sent.saturating_sub(own.sent.messages))
    })
}

#[cfg(test)]
mod tests {
    use socket_ipc::description::STATS;

    use super::*;

    fn stats(received: u64, sent: u64, own: u64) -> Stats {
        let traffic = |messages: u64| serde_json::json!({"messages": messages, "bytes": 0});
        let topic = |name: &str, received: u64, sent: u64| serde_json::json!({"topic": name, "received": traffic(received), "sent": traffic(sent)});
        serde_json::from_value(serde_json::json!({
            "open_connections": 1, "total_connections": 1, "message_errors": 0, "outbox_len": 0, "outbox_peak": 0, "slow_consumers": 0,
            "late_replies": 0, "received": traffic(received + own), "sent": traffic(sent + own),
            "topics": [topic(STATS, own, own)], "other_topics": topic("", received, sent),
        }))
        .unwrap()
    }

    #[test]
    fn rates_leave_out_requests_for_stats() {
        let rates = Rates::between(&stats(10, 5, 1), &stats(30, 5, 2), Duration::from_secs(2));
        assert_eq!(rates, Rates { received: 10.0, sent: 0.0 });
    }
}
