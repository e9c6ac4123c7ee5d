//! Why a request has no reply.

use std::time::Duration;

use crate::error::SendError;
use crate::error::error_reply::ErrorReply;
use crate::events::CloseCause;

/// Why a request has no reply. Most causes are known long before the deadline, and then the request fails at once.
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
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
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
    /// No reply came in time. The responder may still be running.
    #[error("no reply to `{topic}` within {timeout:?}")]
    Timeout {
        /// The topic of the request.
        topic: String,
        /// `request_timeout`, or what `timeout` was given.
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
        /// Which end closed the connection, and why.
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
    /// The responder returned an error reply, or its reply could not be sent (code `failed`).
    #[error("`{topic}` was rejected ({code}): {text}")]
    Rejected {
        /// The topic of the request.
        topic: String,
        /// The code of the error reply.
        code: String,
        /// The text of the error reply.
        text: String,
    },
    /// The reply does not decode into the reply type.
    #[error("the reply to `{topic}` is not a `{type_name}`: {reason}")]
    ReplyUndecodable {
        /// The topic of the request.
        topic: String,
        /// The Rust type of the reply.
        type_name: &'static str,
        /// The error of serde.
        reason: String,
    },
    /// The reply came under another topic than that of the reply type.
    #[error("the reply to `{topic}` came under the topic `{found}` and not `{expected}`")]
    UnexpectedTopic {
        /// The topic of the request.
        topic: String,
        /// The topic of the reply.
        found: String,
        /// The topic of the reply type.
        expected: &'static str,
    },
}

impl RequestError {
    /// The error that an error reply of the peer stands for.
    pub(crate) fn of_error_reply(topic: &str, error_reply: &ErrorReply) -> Self {
        let (topic, text) = (topic.to_owned(), error_reply.text().to_owned());
        match error_reply.code() {
            ErrorReply::NO_RESPONDER => Self::NoResponder { topic },
            ErrorReply::UNDECODABLE => Self::RequestUndecodable { topic, text },
            ErrorReply::PANICKED => Self::ResponderPanicked { topic },
            code => Self::Rejected { topic, code: code.to_owned(), text },
        }
    }
}
