//! A snapshot of an endpoint's metrics.

use serde::{Deserialize, Serialize};

/// A snapshot of what a server or a client has done since it was made: what `stats` returns.
///
/// Counting is always on; taking a snapshot is quick and delays no connection. A count may be some messages behind, and
/// catches up whenever a connection is idle.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// let stats = server.stats();
/// println!("{} clients, {} messages received, {} bytes queued", stats.open_connections, stats.received.messages, stats.outbox_len);
/// ```
///
/// The chapter [observability](crate::guide::observability) has more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// How many connections are open.
    pub open_connections: u64,
    /// How many connections were made so far. On a client, all but the first are reconnects.
    pub total_connections: u64,
    /// Every envelope that arrived, with or without a listener.
    pub received: Traffic,
    /// Every message that was queued, a broadcast once for each client.
    pub sent: Traffic,
    /// The same by topic, for topics that the program itself names: it listens for them, or sends messages of their
    /// types. Ordered by name.
    pub topics: Vec<TopicTraffic>,
    /// The same for all other topics together, so that no peer can make `topics` longer: messages without a listener,
    /// messages sent under topics known only at run time, replies that arrive, and error replies.
    pub other_topics: TopicTraffic,
    /// How often `on_message_error` was called: for messages that no listener could take, or that one of several
    /// listeners could not.
    pub message_errors: u64,
    /// How much is queued and not handed to the kernel, in bytes.
    pub outbox_len: u64,
    /// The most that was ever queued, in bytes.
    pub outbox_peak: u64,
    /// How many connections ended because the peer did not read.
    pub slow_consumers: u64,
    /// How many replies, and lines of streams, came after their requests had ended, or to no request.
    pub late_replies: u64,
    /// How many replies were dropped, because the request had no id and its topic names no `reply_topic`.
    #[serde(default)]
    pub dropped_replies: u64,
    /// How many messages of [`broadcast_latest`](crate::ServerHandle::broadcast_latest) clients did not get, because a
    /// later one of the topic took their place: a message counts once for each of these clients. On a client it is 0.
    #[serde(default)]
    pub replaced_messages: u64,
    /// How many requests of peers are in flight: their responders have begun and have not finished. Streams are not
    /// among them.
    #[serde(default)]
    pub requests_in_flight: u64,
    /// How many streams that peers have requested are in flight: the responder has begun, and the stream has not ended.
    #[serde(default)]
    pub streams_in_flight: u64,
    /// How many groups have members. On a client, which has no groups, this and the next are 0.
    #[serde(default)]
    pub groups: u64,
    /// How many members all groups have together: a client counts once in each of its groups.
    #[serde(default)]
    pub group_members: u64,
    /// The groups that have the most members, the largest first, on a server that
    /// [`describe_groups`](crate::ServerBuilder::describe_groups) makes name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub largest_groups: Vec<GroupStats>,
}

/// A group and how many members it has. Part of [`Stats`].
///
/// ```
/// let server = socket_ipc::Server::builder("/tmp/myApp.sock").describe_groups().build();
/// for group in server.stats().largest_groups {
///     println!("{}: {} members", group.name, group.members);
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupStats {
    /// The name of the group.
    pub name: String,
    /// How many members it has.
    pub members: u64,
}

/// Messages and their bytes, delimiters included. Part of [`Stats`].
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
    /// Messages that arrived.
    pub received: Traffic,
    /// Messages that were queued.
    pub sent: Traffic,
}

impl Stats {
    /// Computes the totals from the counts by topic.
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
