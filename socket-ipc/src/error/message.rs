//! Why a message that arrived was not dispatched.

use std::fmt;
use std::time::Duration;

use crate::wire::EnvelopeError;

/// A message that arrived and was not dispatched to some or to all of its listeners.
///
/// The connection lives on, unless the kind says otherwise.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.on_message_error(|error, client_id| {
///     eprintln!("client {client_id}: {error}: {}", String::from_utf8_lossy(error.raw()));
/// });
/// ```
#[derive(Clone, Debug)]
pub struct MessageError {
    kind: MessageErrorKind,
    raw: Box<[u8]>,
    len: u64,
}

/// What is wrong with a message. Part of [`MessageError`].
///
/// ```
/// use socket_ipc::{MessageErrorKind, Server};
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.on_message_error(|error, client_id| {
///     if let MessageErrorKind::TooLong { limit } = error.kind() {
///         eprintln!("client {client_id} sent {} bytes at once; {limit} are allowed", error.len());
///     }
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageErrorKind {
    /// The bytes are not an envelope.
    #[error("not an envelope: {0}")]
    Envelope(EnvelopeError),
    /// The message is longer than `max_message_len`; it was skipped without being stored.
    #[error("over the limit of {limit} bytes: send less, or raise `max_message_len` at both ends")]
    TooLong {
        /// `max_message_len`, in bytes.
        limit: usize,
    },
    /// The topic is longer than `max_topic_len`.
    #[error(
        "its topic takes {size} bytes, over the limit of {limit}: shorten it, or raise `max_topic_len` at both ends"
    )]
    TopicTooLong {
        /// Length of the topic, in bytes.
        size: usize,
        /// `max_topic_len`, in bytes.
        limit: usize,
    },
    /// The message was not complete within `incomplete_timeout`; the connection is closed.
    #[error("not complete within {timeout:?}")]
    Incomplete {
        /// `incomplete_timeout`.
        timeout: Duration,
    },
    /// Nothing more of an incomplete message came for a second, while all connections together had received more than
    /// `inbox_total_len` allows; the connection is closed to make room for others.
    #[error(
        "not complete, and nothing of it came for a second, while what all connections have received takes more than \
         {limit} bytes: raise `inbox_total_len`, or send it faster"
    )]
    InboxFull {
        /// `inbox_total_len`, in bytes.
        limit: usize,
    },
    /// The message has an `id`, as a request has, and its topic has a responder. But the `id` is neither an integer nor
    /// a string of at most 64 bytes, so no reply can repeat it. No listener is called.
    #[error(
        "a request of `{topic}` with `\"id\":{id}`, which no reply can repeat: use an integer or a string of at most 64 bytes"
    )]
    RequestId {
        /// The topic of the message.
        topic: String,
        /// The JSON text of the `id`, shortened in the middle where it is long.
        id: String,
    },
    /// The message is of a topic whose responder replies with streams, and has no `id`. The responder was not called.
    #[error("a request of the stream `{topic}` without an `id`: its items could not be told from others")]
    StreamWithoutId {
        /// The topic of the message.
        topic: String,
    },
    /// The request has the `id` of a stream that is running over its connection, or it is one of a stream and has the
    /// `id` of any request in flight. No listener is called.
    #[error(
        "a request with `\"id\":{id}`, the id of a request in flight: every request of a stream needs its own"
    )]
    IdInFlight {
        /// The JSON text of the `id`.
        id: String,
    },
    /// [`authorize`](crate::ServerBuilder::authorize) refused the message. No listener is called.
    #[error("`{topic}` is refused by `authorize`: {text} ({code})")]
    Forbidden {
        /// The topic of the message.
        topic: String,
        /// The code of the error that `authorize` returned.
        code: String,
        /// The text of the error that `authorize` returned.
        text: String,
    },
    /// The message does not decode into the type of a listener. The other listeners were called.
    #[error("`{topic}` is not a `{type_name}`: {reason} at line {line} column {column}")]
    Decode {
        /// The topic of the message.
        topic: String,
        /// The Rust type that the listener takes, without the path of its module.
        type_name: String,
        /// Line of the mistake in the JSON text of the message, from 1.
        line: usize,
        /// Column of the mistake in the JSON text of the message, in bytes from 1.
        column: usize,
        /// The error of serde.
        reason: String,
    },
    /// The envelope has no message, and the type of a listener is none that `null` decodes into. The other listeners were
    /// called.
    #[error("`{topic}` is not a `{type_name}`: the envelope has no `{key}`")]
    NoMessage {
        /// The topic of the message.
        topic: String,
        /// The Rust type that the listener takes, without the path of its module.
        type_name: String,
        /// The key that the message has on this wire.
        key: &'static str,
    },
}

// Not derived: `#[from]` would make it the source of an error whose text includes it.
impl From<EnvelopeError> for MessageErrorKind {
    fn from(error: EnvelopeError) -> Self {
        Self::Envelope(error)
    }
}

impl MessageError {
    /// `raw` is the message, or the beginning of its `len` bytes; at most `keep` bytes of it are kept.
    pub(crate) fn new(kind: impl Into<MessageErrorKind>, raw: &[u8], len: u64, keep: usize) -> Self {
        Self { kind: kind.into(), raw: raw[..raw.len().min(keep)].into(), len }
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> &MessageErrorKind {
        &self.kind
    }

    /// Returns the bytes that were received, without the delimiter; at most the first
    /// [`limits::RAW_LEN`](crate::limits::RAW_LEN) of them.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the total number of bytes that were received, without the delimiter.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "the length of what arrived, not of a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes: {}", self.len, self.kind)
    }
}

impl std::error::Error for MessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}
