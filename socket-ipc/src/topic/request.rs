//! Requests: the types of their replies and errors, and what a responder may return.

use serde::de::DeserializeOwned;

use crate::error::error_reply::ErrorReply;
use crate::topic::Topic;

/// A topic that is a request: the peer replies to it with a value of the type `Reply`, or with an error.
///
/// Implemented with `#[topic(name = "…", reply = …)]`. The reply is of any type that serde can write and read: it needs
/// no topic of its own, because it travels under that of its request. With `error = …` the responder fails with an
/// error of that type, which the requester gets back. Without it, the responder fails with an [`ErrorReply`]: any error
/// that can be displayed converts into one.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Request, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "submit", reply = Submitted, error = SubmitError)]
/// struct Submit { command: String }
///
/// #[derive(Serialize, Deserialize)]
/// struct Submitted { id: u64 }
///
/// #[derive(Serialize, Deserialize, Debug)]
/// enum SubmitError { QueueFull { max: usize } }
///
/// fn refuse<T: Request<Error = SubmitError>>() -> T::Error {
///     SubmitError::QueueFull { max: 100 }
/// }
///
/// assert!(matches!(refuse::<Submit>(), SubmitError::QueueFull { max: 100 }));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request",
    label = "has no reply",
    note = "name the type of its reply: `#[topic(name = \"…\", reply = …)]` above `{Self}`",
    note = "a topic with `stream = …` has no single reply: it is for `request_stream` and `respond_stream`"
)]
pub trait Request: Topic {
    /// The type of the reply.
    type Reply;

    /// The type that a responder fails with: [`ErrorReply`] where `#[topic]` names no other.
    type Error;

    /// The topic under which the reply travels, where it is not that of the request. Listeners of that topic receive
    /// the replies to requests without an id, which other programs send.
    const REPLY_TOPIC: Option<&'static str> = None;

    /// Whether a responder is told when the requester gives up. `no_cancel` in `#[topic]` says that it is not.
    const IS_CANCELLED: bool = true;

    /// Whether error replies carry a value of the type `Error`, and not only a code and a text.
    #[doc(hidden)]
    const HAS_TYPED_ERROR: bool = true;

    /// The text of an error, for people.
    #[doc(hidden)]
    fn error_text(_error: &Self::Error) -> String {
        String::new()
    }

    /// The error itself, where its type is [`ErrorReply`].
    #[doc(hidden)]
    fn error_reply(_error: &Self::Error) -> Option<&ErrorReply> {
        None
    }
}

/// A request whose responder may return an `R`: the reply, or a `Result` of it.
///
/// Implemented with [`#[derive(Topic)]`](macro@crate::Topic) for both; there is nothing to implement.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Replies, Request, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = i64)]
/// struct Add { left: i64, right: i64 }
///
/// fn is_error<T: Replies<R>, R>(returned: R) -> bool {
///     T::into_reply(returned).is_err()
/// }
///
/// assert!(!is_error::<Add, _>(5));
/// assert!(is_error::<Add, _>("five".parse::<i64>()));
/// ```
#[diagnostic::on_unimplemented(
    message = "a responder of `{Self}` cannot return `{R}`",
    label = "does not return the reply of `{Self}`",
    note = "return the type of `reply = …` above `{Self}`, or a `Result` of it"
)]
pub trait Replies<R>: Request {
    /// Returns the reply, or why there is none.
    ///
    /// # Errors
    ///
    /// The error of the responder.
    fn into_reply(returned: R) -> Result<Self::Reply, Self::Error>;
}

/// A type that can be received as the reply or the error of a request, or as an item of a stream.
///
/// Implemented for every type that serde can read without borrowing; there is nothing to implement.
// A trait of our own, so that the compiler's message about a missing `Deserialize` is our own, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be received: it has no `Deserialize`",
    label = "`{Self}` is the type of the reply, of the items, or of the error",
    note = "add `#[derive(Deserialize)]` above `{Self}`"
)]
pub trait Received: DeserializeOwned {}

impl<T: DeserializeOwned> Received for T {}

/// A request whose responder may fail with an `E`, which becomes an `F`: the `error = …` of the request, or an
/// [`ErrorReply`].
///
/// Implemented with [`#[derive(Topic)]`](macro@crate::Topic); there is nothing to implement.
// `Request` is no supertrait: with one, the projections of generic requests would not normalise.
#[diagnostic::on_unimplemented(
    message = "a responder of `{Self}` cannot fail with `{E}`",
    label = "not the error of `{Self}`",
    note = "return the type of `error = …` above `{Self}`, or what can be displayed where there is none"
)]
pub trait Fails<E, F> {
    /// Converts the error.
    fn into_error(error: E) -> F;
}
