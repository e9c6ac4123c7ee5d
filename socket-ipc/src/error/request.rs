//! Why a request has no reply.

use std::time::Duration;

use crate::error::SendError;
use crate::error::error_reply::ErrorReply;
use crate::events::CloseCause;

/// Why a request has no reply. It is known as soon as it can be, mostly long before the deadline.
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
    /// As many requests as `max_requests` allows wait for their replies over this connection. Nothing was sent.
    #[error(
        "cannot ask `{topic}`: {limit} requests wait for their replies, the most that `max_requests` allows"
    )]
    TooManyRequests {
        /// The topic of the request.
        topic: String,
        /// `max_requests`.
        limit: usize,
    },
    /// No reply came in time. The responder may still be at work.
    #[error("`{topic}` was not answered within {timeout:?}")]
    Timeout {
        /// The topic of the request.
        topic: String,
        /// `request_timeout`, or what `timeout` was given.
        timeout: Duration,
    },
    /// No reply can be read: the connection was not read from for a second, since all connections of this side together have
    /// received more than `inbox_total_len` allows.
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
    /// The connection ended before the reply came. The request may have been heard.
    #[error("`{topic}` was not answered: {cause}")]
    ConnectionLost {
        /// The topic of the request.
        topic: String,
        /// Who ended the connection, and why.
        cause: CloseCause,
    },
    /// The peer has no responder for the topic.
    #[error("nobody on the peer responds to `{topic}`")]
    NoResponder {
        /// The topic of the request.
        topic: String,
    },
    /// The peer could not decode the request.
    #[error("the peer can't decode the request of `{topic}`: {text}")]
    RequestUndecodable {
        /// The topic of the request.
        topic: String,
        /// What the peer has to say.
        text: String,
    },
    /// The responder panicked.
    #[error("the responder of `{topic}` panicked")]
    ResponderPanicked {
        /// The topic of the request.
        topic: String,
    },
    /// The responder returned an error reply, or its reply could not be sent (code `failed`).
    #[error("`{topic}` was refused ({code}): {text}")]
    Rejected {
        /// The topic of the request.
        topic: String,
        /// The code of the error reply.
        code: String,
        /// What the responder has to say.
        text: String,
    },
    /// The reply is not of the type of the reply.
    #[error("the reply to `{topic}` is not a `{type_name}`: {reason}")]
    ReplyUndecodable {
        /// The topic of the request.
        topic: String,
        /// The Rust type of the reply.
        type_name: &'static str,
        /// What serde has to say.
        reason: String,
    },
    /// The reply came under another topic than that of the reply.
    #[error("the reply to `{topic}` came under the topic `{found}` and not `{expected}`")]
    UnexpectedTopic {
        /// The topic of the request.
        topic: String,
        /// The topic of the reply.
        found: String,
        /// The topic of the reply's type.
        expected: &'static str,
    },
}

impl RequestError {
    /// What an error reply of the peer means.
    pub(crate) fn refused(topic: &str, error_reply: &ErrorReply) -> Self {
        let (topic, text) = (topic.to_owned(), error_reply.text().to_owned());
        match error_reply.code() {
            ErrorReply::NO_RESPONDER => Self::NoResponder { topic },
            ErrorReply::UNDECODABLE => Self::RequestUndecodable { topic, text },
            ErrorReply::PANICKED => Self::ResponderPanicked { topic },
            code => Self::Rejected { topic, code: code.to_owned(), text },
        }
    }
}
