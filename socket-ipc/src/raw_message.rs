//! A message as JSON text, for listeners that know no type for it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The JSON text of one message, as it arrived.
///
/// The text is well-formed JSON and valid UTF-8. What only a decoder can find (a lone surrogate, a number out
/// of range, nesting too deep) is reported by [`decode`](Self::decode) and [`to_value`](Self::to_value).
///
/// It borrows from the bytes it arrived in; [`into_owned`](Self::into_owned) makes it last. It can be sent on
/// as it is, with `send_raw` and `broadcast_raw`.
///
/// ```no_run
/// use socket_ipc::Server;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::new("/tmp/myApp.sock");
/// let others = server.handle();
/// server.on_message(move |message, topic, client_id| {
///     println!("{client_id} {topic} {message}");
///     if let Err(error) = others.broadcast_raw(topic, &message) {
///         eprintln!("{error}");
///     }
/// });
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage<'m> {
    /// Well-formed JSON.
    text: Cow<'m, str>,
}

impl<'m> RawMessage<'m> {
    /// `text` must be well-formed JSON.
    pub(crate) fn borrowed(text: &'m str) -> Self {
        Self { text: Cow::Borrowed(text) }
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Parses the text into a tree.
    ///
    /// # Errors
    ///
    /// serde_json's, where the text holds what a tree can't: a lone surrogate, a number out of range, nesting
    /// too deep.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Wire;
    ///
    /// let envelope = Wire::JSON_LINES.decode(br#"{"topic":"hello","message":{"name":"crussell52"}}"#)?;
    /// assert_eq!(envelope.message.to_value()?["name"], "crussell52");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// Decodes the text into a type, which may borrow from it.
    ///
    /// # Errors
    ///
    /// serde_json's, where the text is not a `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Wire;
    ///
    /// let envelope = Wire::JSON_LINES.decode(br#"{"topic":"pair","message":[1,"one"]}"#)?;
    /// let (number, name) = envelope.message.decode::<(u8, &str)>()?;
    /// assert_eq!((number, name), (1, "one"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode<'t, T: Deserialize<'t>>(&'t self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// Copies the text, so that it outlives the bytes it arrived in.
    ///
    /// ```
    /// use socket_ipc::{RawMessage, Server};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let last: Arc<Mutex<Option<RawMessage<'static>>>> = Arc::default();
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.on_topic("state", move |message, _client_id| {
    ///     if let Ok(mut last) = last.lock() {
    ///         *last = Some(message.into_owned());
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn into_owned(self) -> RawMessage<'static> {
        RawMessage { text: Cow::Owned(self.text.into_owned()) }
    }
}

impl fmt::Display for RawMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for RawMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(&self.text))
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}
