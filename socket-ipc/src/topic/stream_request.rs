//! Requests of streams: the types of their items and errors, and what a responder's stream may yield.

use crate::error::error_reply::ErrorReply;
use crate::topic::Topic;

/// A topic that is a request of a stream: the peer replies to it with any number of values of the type `Item`.
///
/// Implemented with `#[topic(name = "…", stream = …)]`. As with a [`Request`](crate::Request), the item is of any type
/// that serde can write and read, and `error = …` names the type that the stream fails with.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{StreamRequest, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "follow", stream = JobEvent, error = FollowError)]
/// struct Follow { job: u64 }
///
/// #[derive(Serialize, Deserialize)]
/// enum JobEvent { Output(String), Ended { status: i32 } }
///
/// #[derive(Serialize, Deserialize, Debug)]
/// enum FollowError { NoSuchJob }
///
/// fn fail<T: StreamRequest<Error = FollowError>>() -> T::Error {
///     FollowError::NoSuchJob
/// }
///
/// assert!(matches!(fail::<Follow>(), FollowError::NoSuchJob));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the request of a stream",
    label = "has no stream",
    note = "name the type of its items: `#[topic(name = \"…\", stream = …)]` above `{Self}`",
    note = "a topic with `reply = …` has a single reply: it is for `request` and `respond`"
)]
pub trait StreamRequest: Topic {
    /// The type of the items.
    type Item;

    /// The type that a responder's stream fails with: [`ErrorReply`] where `#[topic]` names no other.
    type Error;

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

/// A request of a stream whose responder's stream may yield an `R`: the item, or a `Result` of it.
///
/// Implemented with [`#[derive(Topic)]`](macro@crate::Topic) for both; there is nothing to implement.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Items, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "count", stream = u64)]
/// struct Count { to: u64 }
///
/// fn is_error<T: Items<R>, R>(yielded: R) -> bool {
///     T::into_item(yielded).is_err()
/// }
///
/// assert!(!is_error::<Count, _>(5));
/// assert!(is_error::<Count, _>("five".parse::<u64>()));
/// ```
#[diagnostic::on_unimplemented(
    message = "a stream of `{Self}` cannot yield `{R}`",
    label = "does not yield the items of `{Self}`",
    note = "yield the type of `stream = …` above `{Self}`, or a `Result` of it"
)]
pub trait Items<R>: StreamRequest {
    /// Returns the item, or why the stream ends.
    ///
    /// # Errors
    ///
    /// The error of the responder.
    fn into_item(yielded: R) -> Result<Self::Item, Self::Error>;
}
