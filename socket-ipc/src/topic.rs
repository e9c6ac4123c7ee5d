//! What a message type says of itself: its topic, and what it borrows.

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

    /// `Self` with its lifetime parameter, if it has one, replaced by `'m`: the type that a listener hears,
    /// which may borrow from the bytes it arrived in.
    type Message<'m>;
}
