//! What a message type says of itself: its topic, and what it borrows.

pub(crate) mod direction;
pub(crate) mod error_text;
pub mod kind;
pub(crate) mod request;
pub(crate) mod stream_request;

pub use request::{Fails, Received, Replies, Request};
pub use stream_request::{Items, StreamRequest};

/// A message type that knows its topic. Implemented with [`#[derive(Topic)]`](macro@crate::Topic).
///
/// The topic string is written once, on the type; everything else names the type.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::Topic;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello {
///     name: String,
/// }
///
/// assert_eq!(Hello::NAME, "hello");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a topic",
    label = "not a topic",
    note = "add `#[derive(Topic)]` and `#[topic = \"…\"]` to the declaration of `{Self}`"
)]
pub trait Topic {
    /// The topic under which messages of this type travel: not empty, at most 256 bytes, without control
    /// characters.
    const NAME: &'static str;

    /// The topic under which replies travel, where this one is a request: its own, or the `reply_topic`.
    ///
    /// Written by the derive for every [`Request`]; an impl by hand says it here, for a server that
    /// [describes itself](crate::description).
    const REPLY: Option<&'static str> = None;

    /// Whether this is a request whose reply is a stream of items.
    ///
    /// Written by the derive for every [`StreamRequest`]; an impl by hand says it here, for the same reason.
    const IS_STREAM: bool = false;

    /// `Self` with its lifetime parameter, if it has one, replaced by `'m`: the type that a listener receives,
    /// which may borrow from the bytes it arrived in.
    type Message<'m>;
}

/// A topic and the kind that it is of, which says what comes back for a message.
///
/// Implemented with [`#[derive(Topic)]`](macro@crate::Topic). [`kind`] has an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a topic",
    label = "not a topic",
    note = "add `#[derive(Topic)]` and `#[topic = \"…\"]` to the declaration of `{Self}`"
)]
pub trait Exchange: Topic {
    /// One of the types of [`kind`].
    type Kind: kind::Kind<Self>;
}

/// The topic of a message to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TopicName<'t> {
    /// The name that a type has: there are no more such names than types.
    OfType(&'static str),
    /// A name that is known only at run time.
    AtRunTime(&'t str),
}

impl TopicName<'_> {
    /// The name, if it is that of a type.
    pub(crate) fn of_type(&self) -> Option<&'static str> {
        match self {
            Self::OfType(name) => Some(name),
            Self::AtRunTime(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::OfType(name) => name,
            Self::AtRunTime(name) => name,
        }
    }
}
