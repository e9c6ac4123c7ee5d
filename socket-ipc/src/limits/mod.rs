//! The default of every limit, in one place.
//!
//! | limit | default | what happens beyond it |
//! |---|---|---|
//! | [`MESSAGE_LEN`] | 4 MiB | `send` fails with `TooLarge`; one that arrives is reported and skipped |
//! | [`TOPIC_LEN`] | 256 bytes | `send` fails with `TopicTooLong`; one that arrives is reported |
//! | [`OUTBOX_LEN`] | 8 MiB a connection | `send` fails with `OutboxFull`, `send_async` waits, `broadcast` ends the connection |
//! | [`OUTBOX_TOTAL_LEN`] | 512 MiB a server | an outbox holds no more than 64 KiB: `send` and `broadcast` fail with `OutboxTotalFull`, paced ones wait, a reply becomes an error reply; a client that holds more than its share for `write_stall` is ended as slow |
//! | [`INBOX_TOTAL_LEN`] | 512 MiB a server | connections with more than 64 KiB unread are read in turns; the largest that send nothing more are ended |
//! | [`OUTBOX_HIGH_WATER`] | 64 KiB a connection | `send_async` and `broadcast_async` wait, the latter for one client no longer than `write_stall` in all |
//! | [`READ_AHEAD_LEN`] | 1 MiB a connection | reading waits while a listener, a full subscription, or replies without room hold messages back |
//! | [`SUBSCRIPTION_LEN`] | 256 messages | the clients that send the topic wait, each in its turn |
//! | [`SUBSCRIPTION_BYTES`] | 8 MiB a subscription | the same; an empty one takes any message |
//! | [`EVENT_STREAM_LEN`] | 256 events | an event is counted, and the count stands in its place |
//! | [`MAX_REQUESTS`] | 1024 a connection | `request` fails with `TooManyRequests`; requests that arrive wait until one is answered |
//! | [`REQUEST_TIMEOUT`] | 10 s | `request` fails with `Timeout` |
//! | [`WRITE_STALL`] | 10 s without progress | the connection ends as slow; a peer that takes 80 KB in that time never is |
//! | [`INCOMPLETE_TIMEOUT`] | 30 s | the unfinished message is reported and the connection ends |
//! | [`MAX_CLIENTS`] | 4096, at most three quarters of the limit of open files | a further client is accepted, closed at once and reported |
//! | [`ACCEPT_PAUSE`] | 10 ms, doubling to 1 s | the pause after a connection that could not be accepted |
//! | [`CONNECT_TIMEOUT`] | 5 s | the attempt fails and is made again |
//! | [`RECONNECT_DELAY`] | 100 to 200 ms | the pause before the first attempt after a connection was lost |
//! | [`RETRY_DELAY`] | 1 to 1.25 s | the pause between attempts |
//! | [`DRAIN`] | 5 s | what `close` and `disconnect` have not written by then is lost, and reported |
//! | [`LINGER`] | 1 s | a connection of which everything is written ends, whether or not the peer has closed its end |
//! | [`PROBE_INTERVAL`] | 1 s | a peer that is not read from, since enough is read ahead or it has finished sending, is found to be gone |
//! | [`WATCH_INTERVAL`] | 2 s | how long a socket file may be gone before the server notices, reports it and binds the path again |
//! | [`RAW_LEN`] | 64 KiB | a `MessageError` keeps no more of the bytes |
//! | [`MODE`] | 0600 | the permissions of the socket file |
//!
//! ```
//! use socket_ipc::{Server, limits};
//!
//! let server = Server::builder("/tmp/myApp.sock").max_message_len(2 * limits::MESSAGE_LEN).build();
//! ```

pub(crate) mod delay;

use std::time::Duration;

use crate::limits::delay::Delay;

/// The longest message, both ways: that of its encoded envelope without the end of the message, in bytes.
///
/// What a text becomes may take more memory than the text: as a `serde_json::Value`, 4 MiB of `[{"":0},…]` take up to
/// 383 MiB and a seventh of a second of one thread. Where peers are not trusted, lower it to what messages need
/// (`max_message_len`), and decode into types.
pub const MESSAGE_LEN: usize = 4 * 1024 * 1024;
/// The longest topic, both ways, in bytes.
pub const TOPIC_LEN: usize = 256;
/// The most that one connection has queued, in bytes. An empty outbox takes any allowed message. Replies are queued over
/// it, and no further request is dispatched until there is room again. Replies of asynchronous responders wait beside it, up
/// to eight times as much; beyond that a reply becomes an error reply.
pub const OUTBOX_LEN: usize = 8 * 1024 * 1024;
/// The most that all connections of a server have queued together, in bytes, replies that wait for room included. They share
/// the bytes of a broadcast of 16 KiB and more, which count once; shorter ones count for each that holds them.
///
/// Each connection may have [`OUTBOX_HIGH_WATER`] queued, and as much again in replies that wait, whatever the others have: so
/// small messages pass, and the most there can be is this, and 128 KiB for each connection, beside error replies of less
/// than 1 KiB to requests that run already. Where nothing is queued at all, any allowed message is taken.
pub const OUTBOX_TOTAL_LEN: usize = 512 * 1024 * 1024;
/// The most that all connections of a server have received and not dispatched together, with the requests whose responders
/// run, in bytes. Of each connection only what it has beyond 64 KiB of either counts.
pub const INBOX_TOTAL_LEN: usize = 512 * 1024 * 1024;
/// The most that a connection may have queued for `send_async` and `broadcast_async` not to wait, in bytes.
pub const OUTBOX_HIGH_WATER: usize = 64 * 1024;
/// How far a connection reads ahead while a listener, a full subscription, or replies without room hold its messages
/// back, in bytes; while it waits for replies itself, further by the longest message. Replies in what it has read do not
/// count: they are handed to whoever asked.
pub const READ_AHEAD_LEN: usize = 1024 * 1024;
/// How many messages a subscription holds for whoever reads it.
pub const SUBSCRIPTION_LEN: usize = 256;
/// How many bytes of messages a subscription holds, as JSON text. An empty one takes any message. Each connection that waits
/// for room has one further message in hand.
pub const SUBSCRIPTION_BYTES: usize = 8 * 1024 * 1024;
/// How many events a stream of events holds for whoever reads it: `connections` of a server, `states` of a client. That bounds
/// their bytes as well: an event holds nothing of what a peer has sent.
pub const EVENT_STREAM_LEN: usize = 256;
/// How many requests may wait for their replies over one connection, and how many asynchronous responders be at work
/// for it.
pub const MAX_REQUESTS: usize = 1024;
/// How long a request may take to be answered.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection with something queued may make no progress.
///
/// Over a Unix socket, progress is that the peer takes bytes. Linux frees the buffers of a socket as a whole, of which
/// the largest hold 37 KB. So a peer that takes 80 KB in this time is never ended, whatever is written to it (measured: up to
/// 70 KB are needed); one that takes less may be, and one that takes nothing is. Over another transport only that it can be
/// written to counts as progress.
pub const WRITE_STALL: Duration = Duration::from_secs(10);
/// How long a message may take from its first byte to its last.
pub const INCOMPLETE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many clients may be connected at once.
pub const MAX_CLIENTS: usize = 4096;
/// The first and the longest pause after a connection could not be accepted; each is twice the one before.
pub const ACCEPT_PAUSE: Delay = Delay::between(Duration::from_millis(10), Duration::from_secs(1));
/// How long one attempt to connect may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits before its first attempt after it lost a connection.
pub const RECONNECT_DELAY: Delay = Delay::between(Duration::from_millis(100), Duration::from_millis(200));
/// How long a client waits between attempts.
pub const RETRY_DELAY: Delay = Delay::between(Duration::from_millis(1000), Duration::from_millis(1250));
/// How long `close` and `disconnect` go on writing what is queued.
pub const DRAIN: Duration = Duration::from_secs(5);
/// How long a connection of which everything is written waits for the peer to close its end. Closing a
/// socket with something unread in it would be an error for the peer (`ECONNRESET`).
pub const LINGER: Duration = Duration::from_secs(1);
/// How often a connection that is not read from is probed, while a listener or a responder works for it: nothing else
/// tells that its peer is gone.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How often a server looks whether its socket file is still there.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// How many bytes of a message a `MessageError` keeps.
pub const RAW_LEN: usize = 64 * 1024;
/// The permissions of the socket file.
pub const MODE: u32 = 0o600;
