//! What a responder sends in place of a reply.

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Deserialize, Deserializer, Serialize};

use crate::wire::raw_message::RawMessage;

/// The topic under which an error reply travels.
pub(crate) const ERROR_TOPIC: &str = "error";

/// What a responder sends when it has no reply: a code for programs and a text for people.
///
/// Anything that can be displayed converts into one, with the code [`failed`](Self::FAILED), so that `?` works on every
/// error. It is not an error itself: the peer that sent the request gets a [`RequestError`](crate::RequestError) made
/// of it. A request with an `error = …` of its own fails with that type instead.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{ErrorReply, Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "divide", reply = i64)]
/// struct Divide { dividend: i64, divisor: i64 }
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.respond::<Divide>(|Divide { dividend, divisor }, _client_id| {
///     let quotient = dividend.checked_div(divisor);
///     quotient.ok_or_else(|| ErrorReply::new("no_quotient", format!("{dividend} by {divisor}")))
/// })?;
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    code: Cow<'static, str>,
    text: String,
    /// A missing value is not the same as `null`. Boxed, as errors of requests hold an `ErrorReply` and should stay
    /// small.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    data: Option<Box<RawMessage<'static>>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawMessage<'static>>>, D::Error> {
    RawMessage::deserialize(deserializer).map(|data| Some(Box::new(data)))
}

impl ErrorReply {
    /// The code of an error reply that was converted from an error.
    pub const FAILED: &'static str = "failed";
    /// The library's code where the topic has no responder.
    pub const NO_RESPONDER: &'static str = "no_responder";
    /// The library's code where the request is not of the type that the responder takes.
    pub const UNDECODABLE: &'static str = "undecodable";
    /// The library's code where the responder panicked.
    pub const PANICKED: &'static str = "panicked";
    /// The library's code where a stream was requested from a responder with a single reply, or a single reply from a
    /// responder with a stream.
    pub const STREAM: &'static str = "stream";
    /// The library's code where an item of a stream is longer than the window of its requester.
    pub const WINDOW: &'static str = "window";
    /// The library's code where a stream has ended because the responder's endpoint closes.
    pub const CLOSING: &'static str = "closing";
    /// The library's code where the requests in flight fill the input budget, or take all places of `max_requests`.
    pub const TOO_MANY_REQUESTS: &'static str = "too_many_requests";
    /// The library's code where [`authorize`](crate::ServerBuilder::authorize) refuses the request.
    pub const FORBIDDEN: &'static str = "forbidden";
    /// The library's code where a [`ReplySender`](crate::ReplySender) was dropped without a reply.
    pub const UNANSWERED: &'static str = "unanswered";

    /// Makes an error reply from a code for the peer's program and a text for people.
    pub fn new(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), data: None }
    }

    /// Adds a value for the peer's program, as JSON text: what `error = …` is to typed requests.
    ///
    /// ```
    /// use socket_ipc::{ErrorReply, Server};
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.respond_raw("submit", None, |_message, _client_id| -> Result<(), _> {
    ///     let max = serde_json::value::to_raw_value(&100).expect("a number");
    ///     Err(ErrorReply::new("queue_full", "the queue holds 100 jobs").with_data(max.into()))
    /// })?;
    /// # Ok::<(), socket_ipc::RegisterError>(())
    /// ```
    #[must_use]
    pub fn with_data(self, data: RawMessage<'static>) -> Self {
        Self { data: Some(Box::new(data)), ..self }
    }

    /// The same with the code [`FORBIDDEN`](Self::FORBIDDEN), unless it has a code of its own.
    pub(crate) fn or_forbidden(self) -> Self {
        if self.code == Self::FAILED { Self { code: Self::FORBIDDEN.into(), ..self } } else { self }
    }

    /// The same with its code only.
    pub(crate) fn code_only(self) -> Self {
        Self { text: String::new(), data: None, ..self }
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the value that came with it, as JSON text.
    #[must_use]
    pub fn data(&self) -> Option<&RawMessage<'static>> {
        self.data.as_deref()
    }
}

impl<E: Display> From<E> for ErrorReply {
    fn from(error: E) -> Self {
        // The alternate form of some error types includes their causes.
        Self::new(Self::FAILED, format!("{error:#}"))
    }
}
