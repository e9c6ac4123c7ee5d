//! Why a question has no answer.

use std::time::Duration;

use crate::error::SendError;
use crate::events::CloseCause;
use crate::refusal::Refusal;

/// Why a question has no answer. It is known as soon as it can be, mostly long before the deadline.
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
    /// The question was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// As many questions as `max_requests` allows wait for their answers over this connection. Nothing was sent.
    #[error(
        "cannot ask `{topic}`: {limit} questions wait for their answers, the most that `max_requests` allows"
    )]
    TooManyRequests {
        /// The topic of the question.
        topic: String,
        /// `max_requests`.
        limit: usize,
    },
    /// No answer came in time. The responder may still be at work.
    #[error("`{topic}` was not answered within {timeout:?}")]
    Timeout {
        /// The topic of the question.
        topic: String,
        /// `request_timeout`, or what `within` was given.
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
    /// The connection ended before the answer came. The question may have been heard.
    #[error("`{topic}` was not answered: {cause}")]
    ConnectionLost {
        /// The topic of the question.
        topic: String,
        /// Who ended the connection, and why.
        cause: CloseCause,
    },
    /// The other side has no responder for the topic.
    #[error("nobody on the other side responds to `{topic}`")]
    NoResponder {
        /// The topic of the question.
        topic: String,
    },
    /// The other side could not decode the question.
    #[error("the peer can't decode the request of `{topic}`: {text}")]
    QuestionUndecodable {
        /// The topic of the question.
        topic: String,
        /// What the other side has to say.
        text: String,
    },
    /// The responder panicked.
    #[error("the responder of `{topic}` panicked")]
    ResponderPanicked {
        /// The topic of the question.
        topic: String,
    },
    /// The responder returned a refusal, or its reply could not be sent (code `failed`).
    #[error("`{topic}` was refused ({code}): {text}")]
    Refused {
        /// The topic of the question.
        topic: String,
        /// The code of the refusal.
        code: String,
        /// What the responder has to say.
        text: String,
    },
    /// The answer is not of the type of the reply.
    #[error("the answer to `{topic}` is not a `{type_name}`: {reason}")]
    Undecodable {
        /// The topic of the question.
        topic: String,
        /// The Rust type of the reply.
        type_name: &'static str,
        /// What serde has to say.
        reason: String,
    },
    /// The answer came under another topic than that of the reply.
    #[error("the answer to `{topic}` came under the topic `{found}` and not `{expected}`")]
    UnexpectedTopic {
        /// The topic of the question.
        topic: String,
        /// The topic of the answer.
        found: String,
        /// The topic of the reply's type.
        expected: &'static str,
    },
}

impl RequestError {
    /// What a refusal of the other side means.
    pub(crate) fn refused(topic: &str, refusal: &Refusal) -> Self {
        let (topic, text) = (topic.to_owned(), refusal.text().to_owned());
        match refusal.code() {
            Refusal::NO_RESPONDER => Self::NoResponder { topic },
            Refusal::UNDECODABLE => Self::QuestionUndecodable { topic, text },
            Refusal::PANICKED => Self::ResponderPanicked { topic },
            code => Self::Refused { topic, code: code.to_owned(), text },
        }
    }
}
