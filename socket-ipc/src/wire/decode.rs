//! From the bytes of an envelope to its topic and message.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::kind::{ERROR, EnvelopeKind, ID, RE, RequestId};
use super::{Wire, topic_or_none};
use crate::wire::raw_message::RawMessage;

/// How many bytes are kept of the front and of the back of serde's text: it may quote a long string of the message.
const REASON_END: usize = 256;

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
            return Ok(Envelope { topic, message, kind, is_error: false, odd_id: None });
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
        let message = RawMessage::borrowed(parts.message.map_or("null", RawValue::get));
        let Parts { topic, kind, is_error, odd_id, .. } = parts;
        Ok(Envelope { topic, message, kind, is_error, odd_id })
    }

    /// Reads the topic of an envelope that is written as every peer writes it: topic first, nothing to unescape. Does
    /// not check whether the rest is an envelope.
    #[inline]
    pub(crate) fn head<'m>(&self, text: &'m str) -> Option<Head<'m>> {
        let rest = text.strip_prefix("{\"topic\":\"")?;
        let len = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        let (topic, rest) = rest.split_at(len);
        let rest = rest.strip_prefix("\",\"")?.strip_prefix(self.message_key)?.strip_prefix("\":")?;
        // Any other key needs escapes in JSON.
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

/// Decodes a message straight from the text of its envelope, of which `rest` begins with the message. `None` where the
/// full parser is needed: the message is not a `T`, or something other than the end of the envelope follows it.
#[inline]
pub(crate) fn decode_one_pass<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<T> {
    let (message, after) = decode_front(rest)?;
    ends_envelope(after).then_some(message)
}

/// [`decode_one_pass`] for a message that may be a request or a reply.
#[inline]
pub(crate) fn decode_any_kind<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<(T, EnvelopeKind)> {
    let (message, after) = decode_front(rest)?;
    let (kind, after) = if let Some(after) = after.strip_prefix(REQUEST) {
        let (id, after) = number(after)?;
        (EnvelopeKind::Request(id.into()), after)
    } else if let Some(after) = after.strip_prefix(REPLY) {
        let (re, after) = number(after)?;
        (EnvelopeKind::Reply(re.into()), after)
    } else {
        (EnvelopeKind::Message, after)
    };
    ends_envelope(after).then_some((message, kind))
}

/// What precedes the number of a request, and of a reply, as this library writes it.
const REQUEST: &str = ",\"id\":";
const REPLY: &str = ",\"re\":";

/// The number that the text begins with. `None` for leading zeros, which JSON forbids: the full parser reports them.
#[inline]
fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, after) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let number = digits.parse().ok().filter(|_| digits.len() == 1 || !digits.starts_with('0'))?;
    Some((number, after))
}

/// The number of a reply that is written as this library writes it, at the end of its envelope. Does not check whether
/// the rest is an envelope. If it is, the number belongs to it: in JSON text the last brace closes the envelope, and
/// only a key of the envelope can come right before its last value.
#[inline]
pub(crate) fn reply_id_at_end(bytes: &[u8]) -> Option<u64> {
    number_at_end(bytes, REPLY)
}

/// The id of a request, in the same way.
pub(crate) fn request_id_at_end(bytes: &[u8]) -> Option<RequestId> {
    if let Some(number) = number_at_end(bytes, REQUEST) {
        return Some(number.into());
    }
    // An id in another form: the key is searched for near the end. If exactly one JSON value lies between it and the
    // last brace, the key is the envelope's.
    let front = bytes.strip_suffix(b"}")?;
    let longest = REQUEST.len() + RequestId::MAX_LEN + 2;
    let tail = &front[front.len().saturating_sub(longest)..];
    let at = memchr::memmem::rfind(tail, REQUEST.as_bytes())? + REQUEST.len();
    let value = std::str::from_utf8(&tail[at..]).ok()?;
    let _: &RawValue = serde_json::from_str(value).ok()?;
    RequestId::read(value.trim_matches(WHITE_SPACE))
}

#[inline]
fn number_at_end(bytes: &[u8], key: &str) -> Option<u64> {
    // Most messages end differently.
    let front = bytes.strip_suffix(b"}").filter(|front| front.last().is_some_and(u8::is_ascii_digit))?;
    let digits = front.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (front, digits) = front.split_at(front.len() - digits);
    if !front.ends_with(key.as_bytes()) {
        return None;
    }
    number(std::str::from_utf8(digits).ok()?).map(|(number, _)| number)
}

/// Decodes the value that the text begins with, and returns the text that follows.
#[inline]
fn decode_front<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<(T, &'m str)> {
    let mut deserializer = serde_json::Deserializer::from_str(rest);
    let message = T::deserialize(&mut deserializer).ok()?;
    let taken = deserializer.into_iter::<IgnoredAny>().byte_offset();
    if taken == 0 {
        // A `Deserialize` that reads nothing: the full parser finds out whether there is a message.
        return None;
    }
    Some((message, rest.get(taken..)?))
}

/// Whether text is the end of an envelope and nothing else.
#[inline]
fn ends_envelope(text: &str) -> bool {
    let after = text.trim_start_matches(WHITE_SPACE).strip_prefix('}');
    after.is_some_and(|after| after.trim_start_matches(WHITE_SPACE).is_empty())
}

/// The white space of JSON: less than that of ASCII.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The place and the text of an error of serde, separately.
pub(crate) fn error_place(error: &serde_json::Error) -> (usize, usize, String) {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let reason = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let reason = shortened(reason);
    let cannot_borrow = reason.starts_with(STRING) && reason.ends_with(BORROWED);
    (line, column, if cannot_borrow { reason + INSTEAD } else { reason })
}

/// How serde's text for a `&str` that can't borrow, as the string has escapes, begins and ends.
const STRING: &str = "invalid type: string ";
const BORROWED: &str = "expected a borrowed string";

/// The advice that is added to it.
const INSTEAD: &str =
    ", and this one holds an escape: write `#[serde(borrow)] Cow<'_, str>` in the place of `&str`";

/// Shortens a long text in the middle: serde names the mistake at the front, and what it expected at the back.
pub(crate) fn shortened(reason: &str) -> String {
    if reason.len() <= 2 * REASON_END + 8 {
        return reason.to_owned();
    }
    let front = (0..=REASON_END).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    let back = (reason.len() - REASON_END..reason.len()).find(|at| reason.is_char_boundary(*at));
    format!("{} … {}", &reason[..front], &reason[back.unwrap_or(reason.len())..])
}

/// The place `line`, `column` of a message in the text that holds it from byte `offset` on.
pub(crate) fn shift_place(text: &str, offset: usize, line: usize, column: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let last_line = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    (line + lines, if line <= 1 { column + last_line } else { column })
}

struct Parts<'m> {
    topic: Cow<'m, str>,
    message: Option<&'m RawValue>,
    kind: EnvelopeKind,
    is_error: bool,
    odd_id: Option<&'m str>,
}

struct EnvelopeVisitor {
    message_key: &'static str,
}

impl<'m> Visitor<'m> for EnvelopeVisitor {
    type Value = Parts<'m>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a topic")
    }

    fn visit_map<A: MapAccess<'m>>(self, mut map: A) -> Result<Parts<'m>, A::Error> {
        let (mut topic, mut message) = (None, None);
        let (mut id, mut re): (Option<&str>, Option<&str>) = (None, None);
        let mut is_error = false;
        while let Some(Text(key)) = map.next_key()? {
            if key == "topic" {
                let Topic(text) = map.next_value()?;
                if topic.replace(text).is_some() {
                    return Err(de::Error::duplicate_field("topic"));
                }
            } else if key == self.message_key {
                // Which of two messages was meant is unknown.
                if message.replace(map.next_value::<&RawValue>()?).is_some() {
                    return Err(de::Error::duplicate_field(self.message_key));
                }
            } else if key == ID || key == RE {
                let (number, name) = if key == ID { (&mut id, ID) } else { (&mut re, RE) };
                if number.replace(map.next_value::<&RawValue>()?.get()).is_some() {
                    return Err(de::Error::duplicate_field(name));
                }
            } else if key == ERROR {
                is_error |= map.next_value::<&RawValue>()?.get() == "true";
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let topic = topic.ok_or_else(|| de::Error::missing_field("topic"))?;
        let topic = if topic.is_empty() { Cow::Borrowed(topic_or_none("")) } else { topic };
        if id.is_none() && re.is_none() {
            return Ok(Parts { topic, message, kind: EnvelopeKind::Message, is_error: false, odd_id: None });
        }
        // Invalid ids are ignored, as unknown keys are.
        let kind = EnvelopeKind::of(id.and_then(RequestId::read), re.and_then(RequestId::read));
        let odd_id = id.filter(|_| kind == EnvelopeKind::Message);
        let is_error = is_error && matches!(kind, EnvelopeKind::Reply(_));
        Ok(Parts { topic, message, kind, is_error, odd_id })
    }
}

/// A string, borrowed where it has nothing to unescape.
struct Text<'m>(Cow<'m, str>);

impl<'m> Deserialize<'m> for Text<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { expected: "a key" }).map(Text)
    }
}

/// A string as the topic of an envelope.
struct Topic<'m>(Cow<'m, str>);

impl<'m> Deserialize<'m> for Topic<'m> {
    fn deserialize<D: Deserializer<'m>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor { expected: "a string as topic" }).map(Topic)
    }
}

struct TextVisitor {
    expected: &'static str,
}

impl<'m> Visitor<'m> for TextVisitor {
    type Value = Cow<'m, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'m str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
