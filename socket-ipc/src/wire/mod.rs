//! Bytes to envelopes and back. No I/O, no async: it can be tested, fuzzed and measured alone.
//!
//! A message on the wire is an *envelope*, a JSON object that holds a topic and a message, followed by a *delimiter*.
//! [`Wire`] has the bytes of the delimiter and the key of the message.

pub(crate) mod raw_message;

mod bounded;
mod decode;
mod encode;
mod error_text;
mod framer;
mod json;
mod kind;
#[cfg(test)]
mod tests;

pub use decode::{Envelope, EnvelopeError};
pub use encode::EncodeError;
pub use kind::{AttemptKind, EnvelopeKind, RequestId};
pub(crate) use kind::{ReplyTo, StreamPart, Window, byte_count};

pub(crate) use decode::{
    EnvelopeText, decode_any_kind, decode_item, decode_one_pass, reply_at_end, reply_id_at_end,
    request_id_at_end, utf8,
};
pub(crate) use encode::{Tail, count_delimiters, topic_or_none};
pub(crate) use error_text::{error_place, shortened};
pub(crate) use framer::{Frame, Framer};

/// The topic of a message that was sent under an empty one.
pub(crate) const NO_TOPIC: &str = "none";

/// The longest delimiter that a wire may have.
const MAX_DELIMITER_LEN: usize = 64;

/// How envelopes are written and delimited on a connection. Both ends must use the same wire.
///
/// [`Wire::JSON_LINES`] is the default. The other presets are those of the Node library `@crussell52/socket-ipc`; a
/// program that uses the matching version of it can't tell the difference. [`Wire::new`] makes one of your own.
///
/// | preset | Node versions | envelope | delimiter |
/// |---|---|---|---|
/// | [`Wire::JSON_LINES`] | | `{"topic":..,"message":..}` | a newline |
/// | [`Wire::NODE_0_4`] | 0.4.x | `{"topic":..,"message":..}` | two NUL bytes |
/// | [`Wire::NODE_0_2`] | 0.2.x, 0.3.x | `{"topic":..,"message":..}` | `%EOM%` |
/// | [`Wire::NODE_0_1`] | 0.1.x | `{"topic":..,"data":..}` | `%<EOM>%` and a newline |
///
/// The delimiter never appears inside a message: in a string it is written with a JSON escape, and a line break between
/// the tokens of a `RawValue` is written as a space.
///
/// ```
/// use socket_ipc::{Server, Wire};
///
/// let server = Server::builder("/tmp/myApp.sock").wire(Wire::NODE_0_4).build();
///
/// let mut buffer = Vec::new();
/// Wire::NODE_0_2.encode("discount", &"100%EOM%", &mut buffer)?;
/// assert_eq!(buffer, br#"{"topic":"discount","message":"100\u0025EOM%"}%EOM%"#);
/// # Ok::<(), socket_ipc::EncodeError>(())
/// ```
///
/// The chapter on the [wire](crate::guide::wire) has the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wire {
    delimiter: &'static str,
    message_key: &'static str,
    /// The key is ASCII that needs no escape in JSON.
    plain_key: bool,
}

/// A [`Wire`] that could not keep its messages apart.
///
/// ```
/// use socket_ipc::{Wire, WireError};
///
/// assert_eq!(Wire::new("}", "message"), Err(WireError::DelimiterInsideMessages));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The delimiter is empty or longer than 64 bytes.
    #[error("the delimiter must be 1 to 64 bytes long")]
    DelimiterLength,
    /// The delimiter can't be kept out of messages. It must hold a control character; or it must begin with a character
    /// that JSON has only inside strings and that an escape can replace, and hold no backslash.
    #[error(
        "the delimiter must hold a control character, or begin with a character that JSON has only inside strings, \
         such as `%`"
    )]
    DelimiterInsideMessages,
    /// The key of the message is empty, or one that the envelope uses itself: `topic`, `id`, `re`, `error`, `window`,
    /// `started`, `more` or `trace`.
    #[error(
        "the key of the message must not be empty, `topic`, `id`, `re`, `error`, `window`, `started`, `more` or `trace`"
    )]
    MessageKey,
}

impl Wire {
    /// One JSON object a line: what `nc -U`, `socat`, `jq` and every scripting language speak.
    pub const JSON_LINES: Self = Self { delimiter: "\n", message_key: "message", plain_key: true };
    /// The wire of the Node library's versions 0.4.x.
    pub const NODE_0_4: Self = Self { delimiter: "\0\0", message_key: "message", plain_key: true };
    /// The wire of the Node library's versions 0.2.x and 0.3.x.
    pub const NODE_0_2: Self = Self { delimiter: "%EOM%", message_key: "message", plain_key: true };
    /// The wire of the Node library's versions 0.1.x.
    pub const NODE_0_1: Self = Self { delimiter: "%<EOM>%\n", message_key: "data", plain_key: true };

    /// The wires of the Node library.
    pub(crate) const OF_NODE: [Self; 3] = [Self::NODE_0_4, Self::NODE_0_2, Self::NODE_0_1];

    /// Makes a wire of your own from the delimiter and the envelope's key for the message.
    ///
    /// # Errors
    ///
    /// [`WireError`], when the delimiter could appear inside a message, or the key is taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Wire;
    ///
    /// let wire = Wire::new("\u{1e}", "payload")?;
    /// assert_eq!((wire.delimiter(), wire.message_key()), ("\u{1e}", "payload"));
    /// # Ok::<(), socket_ipc::WireError>(())
    /// ```
    pub fn new(delimiter: &'static str, message_key: &'static str) -> Result<Self, WireError> {
        if delimiter.is_empty() || delimiter.len() > MAX_DELIMITER_LEN {
            return Err(WireError::DelimiterLength);
        }
        // With a backslash in the delimiter, the escape that replaces its first character could form another delimiter.
        if !holds_control(delimiter)
            && (!delimiter.starts_with(only_inside_strings) || delimiter.contains('\\'))
        {
            return Err(WireError::DelimiterInsideMessages);
        }
        if message_key.is_empty() || kind::KEYS.contains(&message_key) {
            return Err(WireError::MessageKey);
        }
        Ok(Self { delimiter, message_key, plain_key: bounded::is_plain(message_key) })
    }

    /// Whether a peer may know control lines. The Node library calls listeners with whatever has a topic.
    pub(crate) fn has_control_lines(&self) -> bool {
        !Self::OF_NODE.contains(self)
    }

    /// Returns the delimiter: the bytes that follow each envelope.
    #[must_use]
    pub fn delimiter(&self) -> &'static str {
        self.delimiter
    }

    /// Returns the envelope's key for the message.
    #[must_use]
    pub fn message_key(&self) -> &'static str {
        self.message_key
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::JSON_LINES
    }
}

/// JSON text has control characters only as white space between tokens (RFC 8259, 2 and 7), so a delimiter that holds
/// one is kept out of a message by writing that white space differently.
fn holds_control(delimiter: &str) -> bool {
    delimiter.bytes().any(|byte| byte < 0x20)
}

/// Whether JSON text has a character only inside strings and not behind a backslash, so that an escape can replace it.
/// Characters of structure, numbers, literals and escapes are none.
fn only_inside_strings(character: char) -> bool {
    !character.is_ascii_alphanumeric()
        && !matches!(character, '{' | '}' | '[' | ']' | ',' | ':' | '"' | '\\' | '/' | '+' | '-' | '.' | ' ')
}
