//! What a responder sends in place of a reply.

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::topic::Topic;

/// The topic under which an error reply travels.
pub(crate) const ERROR_TOPIC: &str = "error";

/// What a responder sends when it has no reply: a code for programs and a text for people.
///
/// Anything that can be displayed converts into one, with the code [`failed`](Self::FAILED), so that `?` works on every
/// error. It is not an error itself: the peer that sent the request gets a [`RequestError`](crate::RequestError) made
/// of it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{ErrorReply, Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "divide", reply = Quotient)]
/// struct Divide { dividend: i64, divisor: i64 }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "quotient"]
/// struct Quotient(i64);
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.respond::<Divide>(|Divide { dividend, divisor }, _client_id| {
///     let quotient = dividend.checked_div(divisor);
///     quotient.map(Quotient).ok_or_else(|| ErrorReply::new("no_quotient", format!("{dividend} by {divisor}")))
/// })?;
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    code: Cow<'static, str>,
    text: String,
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
    /// The library's code where the requests in flight fill the input budget.
    pub const TOO_MANY_REQUESTS: &'static str = "too_many_requests";

    /// Makes an error reply from a code for the peer's program and a text for people.
    pub fn new(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// The same with no text.
    pub(crate) fn without_text(self) -> Self {
        Self { text: String::new(), ..self }
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
}

impl<E: Display> From<E> for ErrorReply {
    fn from(error: E) -> Self {
        // The alternate form of some error types includes their causes.
        Self::new(Self::FAILED, format!("{error:#}"))
    }
}

/// What a responder may return: the reply, or a `Result` of it whose error converts into an [`ErrorReply`].
///
/// There is nothing to implement.
///
/// ```
/// use socket_ipc::{ErrorReply, IntoReply};
///
/// fn may_be_returned<R>(_: impl IntoReply<R>) {}
///
/// # use serde::{Deserialize, Serialize}; use socket_ipc::Topic;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "sum"] struct Sum(i64);
/// may_be_returned::<Sum>(Sum(5));
/// may_be_returned::<Sum>(2_i64.checked_add(3).map(Sum).ok_or("more than fits"));
/// may_be_returned::<Sum>(Err(ErrorReply::new("too_much", "more than fits")));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a reply, where `{R}` is expected",
    label = "does not return `{R}`",
    note = "return a `{R}`, or a `Result` of it whose error can be displayed"
)]
pub trait IntoReply<R> {
    /// Returns the reply, or the error reply.
    ///
    /// # Errors
    ///
    /// The error reply.
    fn into_reply(self) -> Result<R, ErrorReply>;
}

impl<R: Topic> IntoReply<R> for R {
    fn into_reply(self) -> Result<R, ErrorReply> {
        Ok(self)
    }
}

impl<R: Topic, E: Into<ErrorReply>> IntoReply<R> for Result<R, E> {
    fn into_reply(self) -> Result<R, ErrorReply> {
        self.map_err(Into::into)
    }
}
