//! Why a request has no reply.

use std::time::Duration;

use crate::error::SendError;
use crate::error::error_reply::ErrorReply;
use crate::events::CloseCause;
use crate::wire::raw_message::RawMessage;

/// Why a request has no reply. Most causes are known long before the deadline, and then the request fails at once.
///
/// `E` is the `error = …` of the request's topic; without one nothing is ever [`Failed`](Self::Failed), and error replies
/// are [`Rejected`](Self::Rejected).
///
/// ```
/// use socket_ipc::{Client, RequestError, SendError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new("/tmp/myApp.sock");
/// let error = client.request_raw("add", &[2, 3]).await.unwrap_err();
/// assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })));
/// # }
/// ```
///
/// [Troubleshooting](crate::guide::troubleshooting#when-a-request-fails) has what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError<E = ErrorReply> {
    /// The request was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// This connection has as many pending requests as `max_requests` allows. Nothing was sent.
    #[error("cannot request `{topic}`: {limit} requests are pending, the most that `max_requests` allows")]
    TooManyRequests {
        /// The topic of the request.
        topic: String,
        /// `max_requests`.
        limit: usize,
    },
    /// No reply came in time, a stream did not begin in time, or its next item took longer than `idle_timeout`. The
    /// responder is told, and may still be running.
    #[error("no reply to `{topic}` within {timeout:?}")]
    Timeout {
        /// The topic of the request.
        topic: String,
        /// `request_timeout`, or what `timeout` or `idle_timeout` was given.
        timeout: Duration,
    },
    /// No reply can be read. The connection was not read from for a second, because all connections of this endpoint
    /// together have received more than `inbox_total_len` allows.
    #[error(
        "no reply to `{topic}` can be read: what all connections have received takes {limit} bytes, the most that \
         `inbox_total_len` allows"
    )]
    InboxFull {
        /// The topic of the request.
        topic: String,
        /// `inbox_total_len`, in bytes.
        limit: usize,
    },
    /// The connection ended before the reply came. The peer may have received the request.
    #[error("no reply to `{topic}`: {cause}")]
    ConnectionLost {
        /// The topic of the request.
        topic: String,
        /// Which end ended the connection, and why.
        cause: CloseCause,
    },
    /// The peer has no responder for the topic.
    #[error("the peer has no responder for `{topic}`")]
    NoResponder {
        /// The topic of the request.
        topic: String,
    },
    /// The peer could not decode the request.
    #[error("the peer can't decode the request of `{topic}`: {text}")]
    RequestUndecodable {
        /// The topic of the request.
        topic: String,
        /// The text of the peer.
        text: String,
    },
    /// The responder panicked.
    #[error("the responder of `{topic}` panicked")]
    ResponderPanicked {
        /// The topic of the request.
        topic: String,
    },
    /// The responder failed with the request's own type of errors: the `error = …` of its topic. A raw request gets its
    /// JSON text.
    #[error("`{topic}` failed{}", after_colon(text))]
    Failed {
        /// The topic of the request.
        topic: String,
        /// The text of the error, empty where its type can't be displayed.
        text: String,
        /// The error.
        error: E,
    },
    /// The peer replied with an error that is not of that type: the responder has none, returned no reply, or its reply
    /// could not be sent.
    #[error("`{topic}` was rejected ({}){}", reply.code(), after_colon(reply.text()))]
    Rejected {
        /// The topic of the request.
        topic: String,
        /// The code and the text of the error reply.
        reply: ErrorReply,
    },
    /// The request was one of a stream, and the peer replied with a single reply, as a plain responder does, or an older
    /// version.
    #[error("`{topic}` is no stream: the peer sent a single reply; use `request`, not `request_stream`")]
    NotAStream {
        /// The topic of the request.
        topic: String,
    },
    /// The request was one of a single reply, and the peer began a stream.
    #[error("`{topic}` is a stream: use `request_stream`, not `request`")]
    IsAStream {
        /// The topic of the request.
        topic: String,
    },
    /// The peer sent an item of a stream that is longer than the window, or more items than the window allows. The
    /// request was cancelled.
    #[error("an item of `{topic}`, of {size} bytes, is beyond the window of {window} bytes")]
    WindowExceeded {
        /// The topic of the request.
        topic: String,
        /// The length of the item's line, in bytes.
        size: u64,
        /// The window of the stream, in bytes.
        window: u64,
    },
    /// The connection's wire has no streams: it is one of the Node presets, whose programs know no control lines.
    #[error(
        "cannot request the stream `{topic}`: streams need control lines, and the wires of the Node library have none"
    )]
    NoStreams {
        /// The topic of the request.
        topic: String,
    },
    /// The reply does not decode into the reply type.
    #[error("the reply to `{topic}` is not a `{type_name}`: {reason}")]
    ReplyUndecodable {
        /// The topic of the request.
        topic: String,
        /// The Rust type of the reply.
        type_name: String,
        /// The error of serde.
        reason: String,
    },
}

/// A text of the peer behind a colon, if there is one.
fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl<E> RequestError<E> {
    /// The error that an error reply of the peer stands for, where it is not of the type `E`.
    pub(crate) fn rejected(topic: &str, reply: ErrorReply) -> Self {
        let topic = topic.to_owned();
        match reply.code() {
            ErrorReply::NO_RESPONDER => Self::NoResponder { topic },
            ErrorReply::UNDECODABLE => Self::RequestUndecodable { topic, text: reply.text().to_owned() },
            ErrorReply::PANICKED => Self::ResponderPanicked { topic },
            _ => Self::Rejected { topic, reply },
        }
    }
}

/// The data of the error becomes part of an error reply, so that `?` works where no type of errors is named.
impl From<RequestError<RawMessage<'static>>> for RequestError {
    fn from(error: RequestError<RawMessage<'static>>) -> Self {
        match error {
            RequestError::Send(error) => Self::Send(error),
            RequestError::TooManyRequests { topic, limit } => Self::TooManyRequests { topic, limit },
            RequestError::Timeout { topic, timeout } => Self::Timeout { topic, timeout },
            RequestError::InboxFull { topic, limit } => Self::InboxFull { topic, limit },
            RequestError::ConnectionLost { topic, cause } => Self::ConnectionLost { topic, cause },
            RequestError::NoResponder { topic } => Self::NoResponder { topic },
            RequestError::RequestUndecodable { topic, text } => Self::RequestUndecodable { topic, text },
            RequestError::ResponderPanicked { topic } => Self::ResponderPanicked { topic },
            RequestError::Failed { topic, text, error } => {
                let reply = ErrorReply::new(ErrorReply::FAILED, text).with_data(error);
                Self::Rejected { topic, reply }
            }
            RequestError::Rejected { topic, reply } => Self::Rejected { topic, reply },
            RequestError::NotAStream { topic } => Self::NotAStream { topic },
            RequestError::IsAStream { topic } => Self::IsAStream { topic },
            RequestError::WindowExceeded { topic, size, window } => {
                Self::WindowExceeded { topic, size, window }
            }
            RequestError::NoStreams { topic } => Self::NoStreams { topic },
            RequestError::ReplyUndecodable { topic, type_name, reason } => {
                Self::ReplyUndecodable { topic, type_name, reason }
            }
        }
    }
}
