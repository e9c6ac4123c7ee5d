//! From the bytes of an envelope to its topic and message.

mod any_form;
mod id_at_end;
mod one_pass;

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Deserializer as _};
use serde_json::value::RawValue;

use super::error_text::error_place;
use super::kind::{AttemptKind, EnvelopeKind, StreamPart};
use super::raw_message::RawMessage;
use super::{Wire, topic_or_none};
use any_form::{EnvelopeVisitor, Parts};

pub(crate) use id_at_end::{reply_at_end, reply_id_at_end, request_id_at_end};
pub(crate) use one_pass::{decode_any_kind, decode_item, decode_one_pass};

/// The content of one message on the wire, which is well-formed throughout.
///
/// ```
/// use socket_ipc::Wire;
///
/// let envelope = Wire::JSON_LINES.decode(br#"{"topic":"hello","message":{"name":"crussell52"}}"#)?;
/// assert_eq!(envelope.topic, "hello");
/// assert_eq!(envelope.message.as_str(), r#"{"name":"crussell52"}"#);
/// # Ok::<(), socket_ipc::EnvelopeError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Envelope<'m> {
    /// The topic; an empty one is `none`.
    pub topic: Cow<'m, str>,
    /// The message; `null` where there was none.
    pub message: RawMessage<'m>,
    /// Whether it is a message, a request or a reply.
    pub kind: EnvelopeKind,
    /// Whether it is an error reply: its key `error` is `true`.
    pub is_error: bool,
    /// An invalid `id`, in an envelope that is no reply: whether it was meant as a request depends on its topic.
    pub(crate) odd_id: Option<&'m str>,
    /// A message that replies to a request without an id: its `re` is `null`.
    pub(crate) replies_to_none: bool,
    /// What it says of a stream.
    pub(crate) stream: StreamPart<'m>,
    /// Whether it has a message at all.
    pub(crate) has_message: bool,
    /// The JSON text of the trace that a request belongs to.
    #[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "traces are a feature"))]
    pub(crate) trace: Option<&'m str>,
}

impl Envelope<'_> {
    /// What its sender wants. `None` for a reply.
    pub(crate) fn attempt(&self) -> Option<AttemptKind> {
        match (&self.kind, self.stream) {
            (EnvelopeKind::Reply(_), _) => None,
            (EnvelopeKind::Request(_), StreamPart::Request(_) | StreamPart::OddWindow(_)) => {
                Some(AttemptKind::Stream)
            }
            (EnvelopeKind::Request(_), _) => Some(AttemptKind::Request),
            (EnvelopeKind::Message, _) => Some(AttemptKind::Message),
        }
    }

    /// Decodes the message. The error says what is wrong with it.
    pub(crate) fn decode_message<T: DeserializeOwned>(&self, wire: Wire) -> Result<T, String> {
        let no_message = || format!("the envelope has no `{}`", wire.message_key());
        self.message.decode().map_err(|error| if self.has_message { error.to_string() } else { no_message() })
    }
}

/// Why bytes are not an envelope.
///
/// ```
/// use socket_ipc::Wire;
///
/// let error = Wire::JSON_LINES.decode(b"[1,2]").unwrap_err();
/// assert!(error.to_string().contains("expected an object with a topic"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes are not valid UTF-8.
    #[error("not valid UTF-8 from byte {valid_len} on")]
    NotUtf8 {
        /// How many bytes at the front are valid.
        valid_len: usize,
    },
    /// The text is not a JSON object with a string as its `topic`.
    #[error("{reason} at line {line} column {column}")]
    NotAnEnvelope {
        /// Line of the place, from 1.
        line: usize,
        /// Column of the place in bytes, from 1; 0 is the end of the line before.
        column: usize,
        /// The text of the parser.
        reason: String,
    },
}

impl Wire {
    /// Reads the envelope that `bytes` hold, without the delimiter.
    ///
    /// An envelope must be a JSON object with exactly one `topic`, which is a string, and valid UTF-8 throughout.
    /// Keys may be in any order; unknown keys, a missing message, an empty topic, and white space around the envelope
    /// are accepted.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`], with the place of the mistake.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Wire;
    ///
    /// let envelope = Wire::NODE_0_1.decode(br#"{"data": 5, "topic": ""}"#)?;
    /// assert_eq!((envelope.topic.as_ref(), envelope.message.as_str()), ("none", "5"));
    /// # Ok::<(), socket_ipc::EnvelopeError>(())
    /// ```
    pub fn decode<'m>(&self, bytes: &'m [u8]) -> Result<Envelope<'m>, EnvelopeError> {
        self.decode_text(self.text(bytes)?)
    }

    /// The text of `bytes`, and its head.
    #[inline]
    pub(crate) fn text<'m>(&self, bytes: &'m [u8]) -> Result<EnvelopeText<'m>, EnvelopeError> {
        let text = utf8(bytes)?;
        Ok(EnvelopeText { head: self.head(text), text })
    }

    #[inline]
    pub(crate) fn decode_text<'m>(
        &self,
        EnvelopeText { head, text }: EnvelopeText<'m>,
    ) -> Result<Envelope<'m>, EnvelopeError> {
        if let Some(Head { topic, rest }) = head
            && let Some((message, kind)) = decode_any_kind::<&RawValue>(rest)
        {
            let (topic, message) = (Cow::Borrowed(topic), RawMessage::borrowed(message.get()));
            return Ok(Envelope {
                topic,
                message,
                kind,
                is_error: false,
                odd_id: None,
                replies_to_none: false,
                stream: StreamPart::None,
                has_message: true,
                trace: None,
            });
        }
        self.decode_any_form(text)
    }

    /// Reads an envelope in any form.
    fn decode_any_form<'m>(&self, text: &'m str) -> Result<Envelope<'m>, EnvelopeError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let parts = deserializer
            .deserialize_map(EnvelopeVisitor { message_key: self.message_key })
            .and_then(|parts| deserializer.end().map(|()| parts))
            .map_err(|error| {
                let (line, column, reason) = error_place(&error);
                EnvelopeError::NotAnEnvelope { line, column, reason }
            })?;
        let has_message = parts.message.is_some();
        let message = RawMessage::borrowed(parts.message.map_or("null", RawValue::get));
        let Parts { topic, kind, is_error, odd_id, replies_to_none, stream, trace, .. } = parts;
        Ok(Envelope { topic, message, kind, is_error, odd_id, replies_to_none, stream, has_message, trace })
    }

    /// Reads the topic of an envelope that is written as every peer writes it: topic first, nothing to unescape. Does
    /// not check whether the rest is an envelope.
    #[inline]
    pub(crate) fn head<'m>(&self, text: &'m str) -> Option<Head<'m>> {
        let rest = text.strip_prefix("{\"topic\":\"")?;
        let len = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        let (topic, rest) = rest.split_at(len);
        let rest = rest.strip_prefix("\",\"")?.strip_prefix(self.message_key)?.strip_prefix("\":")?;
        // Any other key may need escapes in JSON.
        if !self.plain_key {
            return None;
        }
        Some(Head { topic: topic_or_none(topic), rest })
    }
}

/// The front of an envelope: its topic, and the text from the message on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'m> {
    pub(crate) topic: &'m str,
    pub(crate) rest: &'m str,
}

/// A message that is text, and perhaps an envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvelopeText<'m> {
    pub(crate) text: &'m str,
    pub(crate) head: Option<Head<'m>>,
}

/// Checks that bytes are text.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(bytes).map_err(|error| EnvelopeError::NotUtf8 { valid_len: error.valid_up_to() })
}
