//! The default of every limit.
//!
//! [The book](crate::guide::limits) has what happens beyond each limit, and the option that changes it.
//!
//! | limit | default |
//! |---|---|
//! | [`MESSAGE_LEN`] | 4 MiB |
//! | [`TOPIC_LEN`] | 256 bytes |
//! | [`OUTBOX_LEN`] | 8 MiB a connection |
//! | [`OUTBOX_TOTAL_LEN`] | 512 MiB a server |
//! | [`INBOX_TOTAL_LEN`] | 512 MiB a server |
//! | [`OUTBOX_HIGH_WATER`] | 64 KiB a connection |
//! | [`READ_AHEAD_LEN`] | 1 MiB a connection |
//! | [`SUBSCRIPTION_LEN`] | 256 messages |
//! | [`SUBSCRIPTION_BYTES`] | 8 MiB a subscription |
//! | [`EVENT_STREAM_LEN`] | 256 events |
//! | [`MAX_REQUESTS`] | 1024 a connection |
//! | [`STREAM_WINDOW`] | 256 KiB of unread items a stream |
//! | [`ITEM_COST`] | 64 bytes |
//! | [`REQUEST_TIMEOUT`] | 10 s |
//! | [`WRITE_STALL`] | 10 s without progress |
//! | [`INCOMPLETE_TIMEOUT`] | 30 s |
//! | [`MAX_CLIENTS`] | 4096, at most three quarters of the limit of open files |
//! | [`MAX_GROUPS`] | 1024 a client |
//! | [`GROUP_NAME_LEN`] | 256 bytes |
//! | [`DESCRIBED_GROUPS`] | 100 |
//! | [`ACCEPT_PAUSE`] | 10 ms, doubling to 1 s |
//! | [`CONNECT_TIMEOUT`] | 5 s |
//! | [`RECONNECT_DELAY`] | 100 to 200 ms |
//! | [`RETRY_DELAY`] | 1 to 1.25 s |
//! | [`DRAIN`] | 5 s |
//! | [`LINGER`] | 1 s |
//! | [`PROBE_INTERVAL`] | 1 s |
//! | [`WATCH_INTERVAL`] | 2 s |
//! | [`RAW_LEN`] | 64 KiB |
//! | [`MODE`] | 0600 |
//!
//! ```
//! use socket_ipc::{Server, limits};
//!
//! let server = Server::builder("/tmp/myApp.sock").max_message_len(2 * limits::MESSAGE_LEN).build();
//! ```

pub(crate) mod delay;

use std::time::Duration;

use crate::limits::delay::Delay;

/// The longest message, both ways: its encoded envelope without the delimiter, in bytes.
///
/// A decoded message may take more memory than its text: 4 MiB of `[{"":0},…]` as a `serde_json::Value` take up to 383
/// MiB and a seventh of a second of one thread. Where peers are not trusted, lower `max_message_len` to what messages
/// need, and decode into types.
///
/// The option [`max_message_len`](crate::ServerBuilder::max_message_len) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").max_message_len(limits::MESSAGE_LEN / 4).build();
/// ```
pub const MESSAGE_LEN: usize = 4 * 1024 * 1024;
/// The longest topic, both ways, in bytes.
///
/// The option [`max_topic_len`](crate::ServerBuilder::max_topic_len) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").max_topic_len(limits::TOPIC_LEN / 4).build();
/// ```
pub const TOPIC_LEN: usize = 256;
/// The most that one connection has queued, in bytes. An empty outbox takes any allowed message, and any one keeps a
/// single message of [`broadcast_latest`](crate::ServerHandle::broadcast_latest). A reply is queued
/// beyond the limit, and then no further request is dispatched until there is room. Replies of asynchronous responders
/// wait outside the outbox, up to eight times as much; beyond that a reply becomes an error reply.
///
/// The option [`outbox_len`](crate::ServerBuilder::outbox_len) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").outbox_len(2 * limits::OUTBOX_LEN).build();
/// ```
pub const OUTBOX_LEN: usize = 8 * 1024 * 1024;
/// The most that all connections of a server have queued together, in bytes, replies that wait for room included. A
/// broadcast of 16 KiB or more is shared by the connections and counts once; a shorter one counts once for each
/// connection.
///
/// Each connection may always have [`OUTBOX_HIGH_WATER`] queued, and as much again in replies that wait, so that small
/// messages pass. So the total is at most this limit and 128 KiB for each connection, and error replies of less than
/// 1 KiB to requests in flight. If nothing is queued at all, any allowed message is taken.
///
/// The sum is kept in steps: it may lack up to 16 KiB of each connection that has something queued. They are part of the
/// 64 KiB that a connection may have queued anyway. [`Stats`](crate::Stats) are exact.
pub const OUTBOX_TOTAL_LEN: usize = 512 * 1024 * 1024;
/// The most that all connections of a server together have received and not dispatched, in bytes, requests whose
/// responders are running included. Of either, only what a connection has beyond 64 KiB counts.
///
/// The option [`inbox_total_len`](crate::ServerBuilder::inbox_total_len) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").inbox_total_len(limits::INBOX_TOTAL_LEN / 8).build();
/// ```
pub const INBOX_TOTAL_LEN: usize = 512 * 1024 * 1024;
/// The high-water mark: `send_async` and `broadcast_async` wait while a connection has more than this queued, in bytes.
///
/// ```
/// println!("`send_async` waits above {} bytes", socket_ipc::limits::OUTBOX_HIGH_WATER);
/// ```
pub const OUTBOX_HIGH_WATER: usize = 64 * 1024;
/// How far a connection reads ahead, in bytes, while a listener, a full subscription, or replies without room hold its
/// messages back; while it has requests pending itself, further by the longest message. Replies that it reads do not
/// count: they go to their requests at once.
///
/// ```
/// println!("at most {} bytes wait for a listener", socket_ipc::limits::READ_AHEAD_LEN);
/// ```
pub const READ_AHEAD_LEN: usize = 1024 * 1024;
/// How many messages a subscription holds for its reader.
///
/// ```
/// println!("a subscription holds {} messages", socket_ipc::limits::SUBSCRIPTION_LEN);
/// ```
pub const SUBSCRIPTION_LEN: usize = 256;
/// How many bytes of messages a subscription holds, as JSON text. An empty one takes any message. Each connection that
/// waits for room holds one further message.
///
/// ```
/// println!("a subscription holds {} bytes", socket_ipc::limits::SUBSCRIPTION_BYTES);
/// ```
pub const SUBSCRIPTION_BYTES: usize = 8 * 1024 * 1024;
/// How many events an event stream (`connection_events`) holds for its reader. That bounds their bytes as well: an
/// event holds nothing that a peer has sent.
///
/// ```
/// println!("an event stream holds {} events", socket_ipc::limits::EVENT_STREAM_LEN);
/// ```
pub const EVENT_STREAM_LEN: usize = 256;
/// How many requests may be pending over one connection, streams included, and how many asynchronous responders may run
/// for it. A further request waits; while at least one place is taken by a stream, which may run for ever, it is
/// rejected.
///
/// The option [`max_requests`](crate::ClientBuilder::max_requests) changes it:
///
/// ```
/// # use socket_ipc::{Client, limits};
/// let client = Client::builder("/tmp/myApp.sock").max_requests(2 * limits::MAX_REQUESTS).build();
/// ```
pub const MAX_REQUESTS: usize = 1024;
/// How many bytes of items of a stream the requester takes unread: the length of their lines, each at least
/// [`ITEM_COST`].
///
/// The responder's stream is polled only while something is left of it. The last item may take more than what is left,
/// so a little less than twice as much may lie unread. An item that is longer than the whole window ends the stream.
///
/// The option [`stream_window`](crate::ClientBuilder::stream_window) changes it, and
/// [`window`](crate::ReplyStream::window) does for one stream:
///
/// ```
/// # use socket_ipc::{Client, limits};
/// let client = Client::builder("/tmp/myApp.sock").stream_window(4 * limits::STREAM_WINDOW).build();
/// ```
pub const STREAM_WINDOW: u64 = 256 * 1024;
/// What an item of a stream takes of its window at least, in bytes.
///
/// ```
/// let most = socket_ipc::limits::STREAM_WINDOW / socket_ipc::limits::ITEM_COST as u64;
/// println!("a window holds at most {most} items");
/// ```
pub const ITEM_COST: usize = 64;
/// How long a request waits for its reply, and a stream until it has begun.
///
/// The option [`request_timeout`](crate::ClientBuilder::request_timeout) changes it:
///
/// ```
/// # use socket_ipc::{Client, limits};
/// let client = Client::builder("/tmp/myApp.sock").request_timeout(3 * limits::REQUEST_TIMEOUT).build();
/// ```
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection with something queued may make no progress.
///
/// Over a Unix socket, there is progress when the peer takes bytes. Linux frees each buffer of a socket only as a
/// whole, and the largest buffer holds 37 KB. So a peer that takes 80 KB in this time is never disconnected (measured:
/// up to 70 KB are needed). A peer that takes less may be disconnected, and a peer that takes nothing is. Over another
/// transport, there is progress when bytes can be written.
pub const WRITE_STALL: Duration = Duration::from_secs(10);
/// How long a message may take from its first byte to its last.
///
/// The option [`incomplete_timeout`](crate::ServerBuilder::incomplete_timeout) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").incomplete_timeout(limits::INCOMPLETE_TIMEOUT / 2).build();
/// ```
pub const INCOMPLETE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many clients may be connected at once.
///
/// The option [`max_clients`](crate::ServerBuilder::max_clients) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").max_clients(limits::MAX_CLIENTS / 4).build();
/// ```
pub const MAX_CLIENTS: usize = 4096;
/// How many groups a client may be in at once.
///
/// ```
/// println!("a client is in at most {} groups", socket_ipc::limits::MAX_GROUPS);
/// ```
pub const MAX_GROUPS: usize = 1024;
/// The longest name of a group, in bytes.
///
/// ```
/// println!("the name of a group takes at most {} bytes", socket_ipc::limits::GROUP_NAME_LEN);
/// ```
pub const GROUP_NAME_LEN: usize = 256;
/// How many groups the statistics of a server name, where
/// [`describe_groups`](crate::ServerBuilder::describe_groups) is set.
///
/// ```
/// println!("at most {} groups are named", socket_ipc::limits::DESCRIBED_GROUPS);
/// ```
pub const DESCRIBED_GROUPS: usize = 100;
/// The first and the longest pause after a connection could not be accepted; each pause is twice the one before.
///
/// The option [`accept_pause`](crate::ServerBuilder::accept_pause) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").accept_pause(limits::ACCEPT_PAUSE.shortest() * 10).build();
/// ```
pub const ACCEPT_PAUSE: Delay = Delay::between(Duration::from_millis(10), Duration::from_secs(1));
/// How long one attempt to connect may take.
///
/// The option [`connect_timeout`](crate::ClientBuilder::connect_timeout) changes it:
///
/// ```
/// # use socket_ipc::{Client, limits};
/// let client = Client::builder("/tmp/myApp.sock").connect_timeout(limits::CONNECT_TIMEOUT / 5).build();
/// ```
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits after it lost a connection before its first attempt.
///
/// The option [`reconnect_delay`](crate::ClientBuilder::reconnect_delay) changes it:
///
/// ```
/// # use socket_ipc::{Client, limits};
/// let client = Client::builder("/tmp/myApp.sock").reconnect_delay(limits::RECONNECT_DELAY.longest()).build();
/// ```
pub const RECONNECT_DELAY: Delay = Delay::between(Duration::from_millis(100), Duration::from_millis(200));
/// How long a client waits between attempts.
///
/// The option [`retry_delay`](crate::ClientBuilder::retry_delay) changes it:
///
/// ```
/// # use socket_ipc::{Client, limits};
/// let client = Client::builder("/tmp/myApp.sock").retry_delay(limits::RETRY_DELAY.shortest() / 10).build();
/// ```
pub const RETRY_DELAY: Delay = Delay::between(Duration::from_millis(1000), Duration::from_millis(1250));
/// How long `close` and `disconnect` go on writing what is queued.
///
/// The option [`drain`](crate::ServerBuilder::drain) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").drain(2 * limits::DRAIN).build();
/// ```
pub const DRAIN: Duration = Duration::from_secs(5);
/// How long a connection of which everything is written waits for the peer to close its end. Closing a
/// socket with something unread in it would be an error for the peer (`ECONNRESET`).
///
/// ```
/// println!("`close` waits for a peer for {:?}", socket_ipc::limits::LINGER);
/// ```
pub const LINGER: Duration = Duration::from_secs(1);
/// How often a connection that is not read from is probed while a listener or a responder runs for it: nothing else
/// tells that its peer is gone.
///
/// ```
/// println!("such a connection is probed every {:?}", socket_ipc::limits::PROBE_INTERVAL);
/// ```
pub const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How often a server checks that its socket file is in place.
///
/// The option [`watch`](crate::ServerBuilder::watch) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").watch(limits::WATCH_INTERVAL / 2).build();
/// ```
pub const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// How many bytes of a message a `MessageError` keeps.
///
/// The option [`raw_len`](crate::ServerBuilder::raw_len) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").raw_len(limits::RAW_LEN / 64).build();
/// ```
pub const RAW_LEN: usize = 64 * 1024;
/// The permissions of the socket file.
///
/// The option [`mode`](crate::ServerBuilder::mode) changes it:
///
/// ```
/// # use socket_ipc::{Server, limits};
/// let server = Server::builder("/tmp/myApp.sock").mode(limits::MODE | 0o060).build();
/// ```
pub const MODE: u32 = 0o600;
