//! The options of a server and a client, each in one struct with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::attempt::Authorize;
use crate::connection::Limits;
use crate::description::Description;
use crate::limits;
use crate::limits::delay::Delay;
use crate::unix_socket::group::Group;

#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) mode: u32,
    /// The group of the socket file; `None` is what the system gives it.
    pub(crate) group: Option<Group>,
    /// How often to check that the socket file is there; `None` is never.
    pub(crate) watch_interval: Option<Duration>,
    pub(crate) max_clients: usize,
    pub(crate) accept_pause: Delay,
    pub(crate) outbox_total_len: usize,
    pub(crate) inbox_total_len: usize,
    /// The users that are let in; `None` is every user that the socket file's permissions let in.
    pub(crate) allowed_users: Option<Vec<u32>>,
    /// The groups whose users are let in as well.
    pub(crate) allowed_groups: Option<Vec<Group>>,
    /// The description that the server adds its listeners' topics to; `None` if it does not describe itself.
    pub(crate) description: Option<Box<Description>>,
    pub(crate) describes_groups: bool,
    /// What decides which messages are dispatched; `None` lets every one through.
    pub(crate) authorize: Option<Authorize>,
}

impl ServerOptions {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            limits: Limits::default(),
            mode: limits::MODE,
            group: None,
            watch_interval: Some(limits::WATCH_INTERVAL),
            max_clients: limits::MAX_CLIENTS,
            accept_pause: limits::ACCEPT_PAUSE,
            outbox_total_len: limits::OUTBOX_TOTAL_LEN,
            inbox_total_len: limits::INBOX_TOTAL_LEN,
            allowed_users: None,
            allowed_groups: None,
            description: None,
            describes_groups: false,
            authorize: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClientOptions {
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) retry_delay: Delay,
    pub(crate) reconnect_delay: Delay,
    pub(crate) connect_timeout: Duration,
    /// How many attempts in a row may fail; `None` is any number.
    pub(crate) give_up_after: Option<u32>,
    pub(crate) expected_server_user: Option<u32>,
}

impl ClientOptions {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            limits: Limits::default(),
            retry_delay: limits::RETRY_DELAY,
            reconnect_delay: limits::RECONNECT_DELAY,
            connect_timeout: limits::CONNECT_TIMEOUT,
            give_up_after: None,
            expected_server_user: None,
        }
    }
}

/// The builder methods that a server and a client have in common.
macro_rules! common_options {
    ($builder:ident) => {
        impl<P> $builder<P> {
            /// Sets how messages are written and told apart: [`Wire::JSON_LINES`] unless set. Both ends must
            /// agree.
            pub fn wire(mut self, wire: Wire) -> Self {
                self.options.limits.wire = wire;
                self
            }

            /// Sets the longest message, both ways, in bytes:
            /// [`limits::MESSAGE_LEN`](crate::limits::MESSAGE_LEN) (4 MiB) unless set.
            ///
            /// What counts is the encoded envelope without the delimiter. A longer one is an error of `send`; one that
            /// arrives is reported by `on_message_error` and skipped without being stored.
            pub fn max_message_len(mut self, bytes: usize) -> Self {
                self.options.limits.max_message_len = bytes;
                self
            }

            /// Sets the longest topic, both ways, in bytes: [`limits::TOPIC_LEN`](crate::limits::TOPIC_LEN)
            /// (256) unless set.
            ///
            /// A longer one is an error of `send`; one that arrives is reported by `on_message_error`.
            pub fn max_topic_len(mut self, bytes: usize) -> Self {
                self.options.limits.max_topic_len = bytes;
                self
            }

            /// Sets how much one connection may have queued, in bytes:
            /// [`limits::OUTBOX_LEN`](crate::limits::OUTBOX_LEN) (8 MiB) unless set.
            ///
            /// Beyond it `send` fails, `send_async` waits, and `broadcast` ends the connection as a slow
            /// consumer. An empty outbox takes any allowed message.
            ///
            /// Replies are queued beyond it, and no further request is dispatched meanwhile. Replies of asynchronous
            /// responders wait beside the outbox until little is queued, up to eight times as much; a reply beyond that
            /// becomes an error reply (code [`failed`](crate::ErrorReply::FAILED)) that says so.
            pub fn outbox_len(mut self, bytes: usize) -> Self {
                self.options.limits.outbox_len = bytes;
                self
            }

            /// Sets how long a connection with something queued may make no progress before it is ended as a slow
            /// consumer: [`limits::WRITE_STALL`](crate::limits::WRITE_STALL) (10 s) unless set.
            ///
            /// A peer that takes nothing for that long is disconnected. Over a Unix socket a peer that takes 80 KB in
            /// that time (by default, 8 KB a second) never is. Over other transports
            /// ([`serve_connection`](crate::ServerHandle::serve_connection),
            /// [`connector`](crate::ClientBuilder::connector)) there is progress when the transport can be written to
            /// again. A transport with a large buffer may say so only once much of the buffer is empty.
            ///
            /// On a server it is also how long paced broadcasts wait for one client in all, see
            /// [`broadcast_async`](crate::ServerHandle::broadcast_async).
            pub fn write_stall(mut self, stall: Duration) -> Self {
                self.options.limits.write_stall = stall;
                self
            }

            /// Sets how long a message may take to arrive, from its first byte to its last:
            /// [`limits::INCOMPLETE_TIMEOUT`](crate::limits::INCOMPLETE_TIMEOUT) (30 s) unless set.
            ///
            /// An unfinished one is then reported by `on_message_error` and the connection ends. Between
            /// messages a connection may be silent for any time.
            pub fn incomplete_timeout(mut self, timeout: Duration) -> Self {
                self.options.limits.incomplete_timeout = timeout;
                self
            }

            /// Sets how long a connection that ends goes on writing what is queued:
            /// [`limits::DRAIN`](crate::limits::DRAIN) (5 s) unless set.
            ///
            /// What is not written by then is lost, and counted in the [`CloseReason`](crate::CloseReason).
            pub fn drain(mut self, drain: Duration) -> Self {
                self.options.limits.drain = drain;
                self
            }

            /// Sets how many requests may wait for their replies over one connection, and how many asynchronous
            /// responders may run for it: [`limits::MAX_REQUESTS`](crate::limits::MAX_REQUESTS) (1024) unless set.
            ///
            /// A further `request` fails with `TooManyRequests`. A further request that arrives waits until one of the
            /// responders has replied, and so does everything behind it. Streams take places, too, until they end. While
            /// at least one does and no place is left, a request that arrives is rejected at once (code
            /// [`too_many_requests`](crate::ErrorReply::TOO_MANY_REQUESTS)).
            pub fn max_requests(mut self, requests: usize) -> Self {
                self.options.limits.max_requests = requests;
                self
            }

            /// Sets how long a request waits for its reply, from the call of `request`:
            /// [`limits::REQUEST_TIMEOUT`](crate::limits::REQUEST_TIMEOUT) (10 s) unless set.
            ///
            /// [`ReplyFuture::timeout`](crate::ReplyFuture::timeout) sets it for one request.
            pub fn request_timeout(mut self, timeout: Duration) -> Self {
                self.options.limits.request_timeout = timeout;
                self
            }

            /// Sets how many bytes of items of a requested stream may lie unread:
            /// [`limits::STREAM_WINDOW`](crate::limits::STREAM_WINDOW) (256 KiB) unless set.
            ///
            /// The peer sends no more until they are read. An item is at most as long as the window.
            /// [`ReplyStream::window`](crate::ReplyStream::window) sets it for one stream. It is an option of the
            /// requester: the streams that peers request have the windows that they ask for.
            pub fn stream_window(mut self, bytes: u64) -> Self {
                self.options.limits.stream_window = bytes;
                self
            }

            /// Lets the requests of peers continue their traces here: off unless set. Needs the feature `otel`.
            ///
            /// A request or a stream that is sent inside a span of `tracing-opentelemetry` carries the span, in the
            /// form of the W3C's `traceparent`. With this option the responder's span is a child of it. Without the
            /// option, and where the text is malformed, the responder's span begins a trace of its own. So it does if the
            /// peer is not known to be a process of this process's own user, and then it has a link to the requester's
            /// span: what is recorded here is not for another user to decide.
            #[cfg(feature = "otel")]
            pub fn accept_traces(mut self) -> Self {
                self.options.limits.accepts_traces = true;
                self
            }

            /// Sets how many bytes of a message a `MessageError` keeps:
            /// [`limits::RAW_LEN`](crate::limits::RAW_LEN) (64 KiB) unless set.
            ///
            /// Of a message over `max_message_len` it keeps no more than `max_message_len`, or 64 KiB if that is more.
            pub fn raw_len(mut self, bytes: usize) -> Self {
                self.options.limits.raw_len = bytes;
                self
            }
        }
    };
}

pub(crate) use common_options;
