//! A message as JSON text, for listeners that have no type for it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The JSON text of one message, as it arrived.
///
/// The text is well-formed JSON and valid UTF-8. Errors that only a decoder can find (a lone surrogate, a number out of
/// range, nesting too deep) are reported by [`decode`](Self::decode) and [`to_value`](Self::to_value).
///
/// It borrows from the bytes that it arrived in; [`into_owned`](Self::into_owned) copies it. It can be sent on
/// unchanged, with `send_raw` and `broadcast_raw`.
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
#[derive(Clone)]
pub struct RawMessage<'m>(Text<'m>);

/// Well-formed JSON.
#[derive(Clone)]
enum Text<'m> {
    /// With the slot for the copy that its listeners share.
    Borrowed(&'m str, Option<&'m OnceLock<Arc<str>>>),
    Owned(Arc<str>),
}

impl<'m> RawMessage<'m> {
    /// `text` must be well-formed JSON.
    pub(crate) fn borrowed(text: &'m str) -> Self {
        Self(Text::Borrowed(text, None))
    }

    /// The same for several listeners. Listeners that need a copy share `copy`.
    pub(crate) fn shared(text: &'m str, copy: &'m OnceLock<Arc<str>>) -> Self {
        Self(Text::Borrowed(text, Some(copy)))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Borrowed(text, _) => text,
            Text::Owned(text) => text,
        }
    }

    /// Parses the text into a tree.
    ///
    /// # Errors
    ///
    /// An error of serde_json where a tree can't hold the text: a lone surrogate, a number out of range, nesting too
    /// deep.
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
        serde_json::from_str(self.as_str())
    }

    /// Decodes the text into a type, which may borrow from it.
    ///
    /// # Errors
    ///
    /// An error of serde_json where the text is not a `T`.
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
        serde_json::from_str(self.as_str())
    }

    /// Copies the text, so that it outlives the bytes that it arrived in. All listeners of one message share one copy.
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
        RawMessage(Text::Owned(match self.0 {
            Text::Borrowed(text, None) => text.into(),
            Text::Borrowed(text, Some(copy)) => Arc::clone(copy.get_or_init(|| text.into())),
            Text::Owned(text) => text,
        }))
    }
}

impl From<Box<RawValue>> for RawMessage<'static> {
    fn from(text: Box<RawValue>) -> Self {
        Self(Text::Owned(text.get().into()))
    }
}

impl<'de> Deserialize<'de> for RawMessage<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl PartialEq for RawMessage<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawMessage<'_> {}

impl fmt::Debug for RawMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawMessage").field(&self.as_str()).finish()
    }
}

impl fmt::Display for RawMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RawMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(self.as_str()))
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}
