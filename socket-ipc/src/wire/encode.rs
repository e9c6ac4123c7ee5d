//! A topic and a message to the bytes of an envelope.

use memchr::memmem;
use serde::Serialize;

use super::bounded::Bounded;
use super::decode::shortened;
use super::json::{Fault, Json, MAX_DEPTH, path_at_end};
use super::kind::{ERROR, EnvelopeKind, ID, RE, RequestId};
use super::{NO_TOPIC, Wire, holds_control};

/// Why a message could not be written as an envelope.
///
/// ```
/// use socket_ipc::{EncodeError, Wire};
/// use std::collections::HashMap;
///
/// let keys_that_are_no_strings = HashMap::from([((1, 2), 3)]);
/// let error = Wire::JSON_LINES.encode("grid", &keys_that_are_no_strings, &mut Vec::new()).unwrap_err();
/// assert!(error.to_string().contains("key must be a string"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The `Serialize` implementation failed, or the value has no JSON form.
    #[error(transparent)]
    Serialize(serde_json::Error),
    /// A number of the message is NaN or infinite. A field that may have no value is an `Option`.
    #[error("{} is {value}, which JSON cannot represent", field(path))]
    NotFinite {
        /// Where the number stands, such as `points[3].y` or `shape.Circle.radius`; empty where the message itself is the number.
        path: String,
        /// The number: `NaN`, `infinity` or `-infinity`.
        value: &'static str,
    },
    /// A key of a map is NaN or infinite.
    #[error("a key of {} is {value}, which JSON cannot represent", field(path))]
    NotFiniteKey {
        /// Where the map stands; empty where the message itself is the map.
        path: String,
        /// The key: `NaN`, `infinity` or `-infinity`.
        value: &'static str,
    },
    /// The encoded envelope is longer than the limit.
    #[error("{size} bytes are over the limit of {limit}")]
    TooLarge {
        /// Length of the encoded envelope without the end of the message, in bytes. Where NaN or infinity stands beyond the
        /// limit, the length up to there.
        size: usize,
        /// The most that it may be, in bytes.
        limit: usize,
    },
    /// The message nests arrays and objects deeper than any peer reads.
    #[error("nested deeper than {limit} arrays and objects, which no peer reads")]
    TooDeep {
        /// The deepest nesting that is written.
        limit: usize,
    },
}

/// What stands behind the message of an envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail<'k> {
    pub(crate) kind: &'k EnvelopeKind,
    /// Whether the message is an error reply.
    pub(crate) is_error: bool,
}

impl<'k> Tail<'k> {
    /// That of anything but an error reply.
    pub(crate) fn of(kind: &'k EnvelopeKind) -> Self {
        Self { kind, is_error: false }
    }
}

impl Json<'_> {
    /// Writes what tells requests apart, as it was written by the requester: no control character is among it.
    fn id(&mut self, key: &str, id: &RequestId) {
        match id.text() {
            Ok(number) => self.further(key, number),
            Err(text) => self.further(key, text),
        }
    }
}

/// Why a message was not written, whose text begins at `begin`.
#[cold]
fn why_not_written(json: &Json<'_>, begin: usize, limit: usize, error: serde_json::Error) -> EncodeError {
    let path = || {
        // What has a place is the whole text, and what is written is UTF-8. Keys may be long.
        shortened(&path_at_end(&String::from_utf8_lossy(json.text.stored_from(begin))))
    };
    match json.fault {
        None => EncodeError::Serialize(error),
        Some(Fault::TooDeep) => EncodeError::TooDeep { limit: MAX_DEPTH },
        // The path of what was not stored is not known.
        Some(_) if json.text.size() > limit => EncodeError::TooLarge { size: json.text.size(), limit },
        Some(Fault::NotFinite(value)) => EncodeError::NotFinite { path: path(), value },
        Some(Fault::NotFiniteKey(value)) => EncodeError::NotFiniteKey { path: path(), value },
    }
}

/// The place of a number or map, as the subject of a sentence.
fn field(path: &str) -> &str {
    if path.is_empty() { "the message" } else { path }
}

/// The topic that travels: an empty one has a name of its own.
pub(crate) fn topic_or_none(topic: &str) -> &str {
    if topic.is_empty() { NO_TOPIC } else { topic }
}

impl Wire {
    /// Appends the envelope of `message` and its end to `buffer`; an empty topic is written as `none`.
    ///
    /// NaN and infinity are errors that name their place.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; the buffer is then as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Wire;
    ///
    /// let mut buffer = Vec::new();
    /// Wire::JSON_LINES.encode("hello", &["a", "b"], &mut buffer)?;
    /// assert_eq!(buffer, b"{\"topic\":\"hello\",\"message\":[\"a\",\"b\"]}\n");
    /// # Ok::<(), socket_ipc::EncodeError>(())
    /// ```
    pub fn encode<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.encode_within(usize::MAX, &Tail::of(&EnvelopeKind::Message), topic, message, buffer)
    }

    /// [`Wire::encode`] of any kind, with a limit on the length of the envelope. What is over it is counted, not
    /// stored.
    pub(crate) fn encode_within<M: Serialize + ?Sized>(
        &self,
        limit: usize,
        tail: &Tail<'_>,
        topic: &str,
        message: &M,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = buffer.len();
        let result = self.write_envelope(limit, tail, topic, message, buffer);
        if result.is_err() {
            buffer.truncate(start);
        }
        result
    }

    fn write_envelope<M: Serialize + ?Sized>(
        &self,
        limit: usize,
        tail: &Tail<'_>,
        topic: &str,
        message: &M,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = buffer.len();
        let mut json = Json::new(Bounded::new(buffer, limit));
        json.text.put("{\"topic\":");
        json.string(topic_or_none(topic));
        json.text.put(",");
        json.key(self.message_key);
        let begin = json.text.len();
        if let Err(error) = message.serialize(&mut json) {
            return Err(why_not_written(&json, begin, limit, error));
        }
        if tail.is_error {
            json.further(ERROR, true);
        }
        match tail.kind {
            EnvelopeKind::Message => {}
            EnvelopeKind::Request(id) => json.id(ID, id),
            EnvelopeKind::Reply(id) => json.id(RE, id),
        }
        json.text.put("}");
        let (size, verbatim) = (json.text.size(), json.verbatim);
        if size > limit {
            return Err(EncodeError::TooLarge { size, limit });
        }
        buffer.extend_from_slice(self.end.as_bytes());
        // No control character is written but by somebody else, and so there is nothing to search for.
        if verbatim || !holds_control(self.end) {
            self.keep_end_out(start, buffer);
        }
        let size = buffer.len() - start - self.end.len();
        if size > limit { Err(EncodeError::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Makes the end of the message that was just written, from `start` on, its first.
    fn keep_end_out(&self, start: usize, buffer: &mut Vec<u8>) {
        if find(self.end.as_bytes(), &buffer[start..]) == Some(buffer.len() - start - self.end.len()) {
            return;
        }
        if holds_control(self.end) {
            self.blank_white_space(start, buffer)
        } else {
            self.escape_strings(start, buffer)
        }
    }

    /// Writes white space between the tokens of a `RawValue` as spaces, where some of it would form the end
    /// of a message: all of it, as the spaces may form another with what stands before them.
    fn blank_white_space(&self, start: usize, buffer: &mut [u8]) {
        let last = buffer.len() - self.end.len();
        // Nothing else in JSON text is a control character.
        for byte in buffer[start..last].iter_mut().filter(|byte| **byte < 0x20) {
            *byte = b' ';
        }
    }

    /// Writes the first character of the end of a message as an escape wherever the end stands, which can
    /// only be inside strings.
    fn escape_strings(&self, start: usize, buffer: &mut Vec<u8>) {
        let Some(first) = self.end.chars().next() else { return };
        let escape: String =
            first.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let written = buffer.split_off(start);
        let last = written.len() - self.end.len();
        let mut copied = 0;
        while let Some(found) = find(self.end.as_bytes(), &written[copied..]).map(|at| copied + at) {
            if found == last {
                break;
            }
            buffer.extend_from_slice(&written[copied..found]);
            buffer.extend_from_slice(escape.as_bytes());
            copied = found + first.len_utf8();
        }
        buffer.extend_from_slice(&written[copied..]);
    }
}

/// How many messages end in `bytes`, which must begin where a message does.
pub(crate) fn count_ends(wire: Wire, bytes: &[u8]) -> usize {
    memmem::find_iter(bytes, wire.end.as_bytes()).count()
}

/// Where `end` first stands in `bytes`.
pub(super) fn find(end: &[u8], bytes: &[u8]) -> Option<usize> {
    match end {
        [byte] => memchr::memchr(*byte, bytes),
        _ => memmem::find(bytes, end),
    }
}
