//! Metrics of a server or a client, for people and programs that look after it.

use serde::{Deserialize, Serialize};

/// What a server or a client has done since it was made: what `stats` returns.
///
/// Everything is counted always; reading costs a moment, and holds up nobody. A figure may be some messages behind what is
/// in flight, and catches up whenever a connection has nothing more to do.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// let stats = server.stats();
/// println!("{} clients, {} messages heard, {} bytes queued", stats.open_connections, stats.received.messages, stats.outbox_len);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// How many connections there are.
    pub open_connections: u64,
    /// How many there have been. On a client, all but the first are reconnects.
    pub total_connections: u64,
    /// All that arrived and was an envelope, heard by somebody or not.
    pub received: Traffic,
    /// All that was queued, a broadcast once for each client.
    pub sent: Traffic,
    /// The same by topic, for topics that the program itself names: it listens for them, or sends messages of their
    /// types. In the order of their names.
    pub topics: Vec<TopicTraffic>,
    /// The same for all other topics together, so that nobody else can make this longer: what nobody listens for, what is
    /// sent under topics known only at run time, replies to that arrive, and error replies.
    pub other_topics: TopicTraffic,
    /// Messages that could not be heard, by all or by one of the listeners: as often as `on_message_error` was called.
    pub message_errors: u64,
    /// What is queued and not handed to the kernel, in bytes.
    pub outbox_len: u64,
    /// The most that was ever queued, in bytes.
    pub outbox_peak: u64,
    /// How many connections ended because the peer did not read.
    pub slow_consumers: u64,
    /// How many replies came that nobody waited for, or no longer.
    pub late_replies: u64,
}

/// Messages and their bytes, the ends of messages included. Part of [`Stats`].
///
/// ```
/// assert_eq!(socket_ipc::Server::new("/tmp/myApp.sock").stats().sent.messages, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// How many messages.
    pub messages: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// The messages of one topic, both ways. Part of [`Stats`].
///
/// ```
/// let server = socket_ipc::Server::new("/tmp/myApp.sock");
/// server.on_topic("desserts", |_message, _client_id| {});
/// for topic in server.stats().topics {
///     println!("{}: {} received, {} sent", topic.topic, topic.received.messages, topic.sent.messages);
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopicTraffic {
    /// The topic; empty for all others together.
    pub topic: String,
    /// What arrived.
    pub received: Traffic,
    /// What was queued.
    pub sent: Traffic,
}

impl Stats {
    /// Makes the totals of what is counted by topic.
    pub(crate) fn of_topics((topics, other_topics): (Vec<TopicTraffic>, TopicTraffic)) -> Self {
        let total = |of: fn(&TopicTraffic) -> Traffic| {
            let all = topics.iter().chain([&other_topics]).map(of);
            all.fold(Traffic::default(), |sum, one| Traffic {
                messages: sum.messages + one.messages,
                bytes: sum.bytes + one.bytes,
            })
        };
        let (received, sent) = (total(|topic| topic.received), total(|topic| topic.sent));
        Self { received, sent, topics, other_topics, ..Self::default() }
    }
}
