//! From a topic and a message to the bytes of an envelope.

use memchr::memmem;
use serde::Serialize;

use super::bounded::{Bounded, is_plain};
use super::error_text::shortened;
use super::json::{Fault, Json, MAX_DEPTH, path_at_end};
use super::kind::{ERROR, ID, MORE, RE, RequestId, STARTED, TRACE, WINDOW, Window};
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
        /// The path of the number, such as `points[3].y` or `shape.Circle.radius`; empty where the message itself is
        /// the number.
        path: String,
        /// The number: `NaN`, `infinity` or `-infinity`.
        value: &'static str,
    },
    /// A key of a map is NaN or infinite.
    #[error("a key of {} is {value}, which JSON cannot represent", field(path))]
    NotFiniteKey {
        /// The path of the map; empty where the message itself is the map.
        path: String,
        /// The key: `NaN`, `infinity` or `-infinity`.
        value: &'static str,
    },
    /// The encoded envelope is longer than the limit.
    #[error("{size} bytes are over the limit of {limit}")]
    TooLarge {
        /// Length of the encoded envelope without its delimiter, in bytes. With a NaN or infinity beyond the limit, the
        /// length up to there.
        size: usize,
        /// The longest that it may be, in bytes.
        limit: usize,
    },
    /// The message nests arrays and objects deeper than a peer can read.
    #[error("nested deeper than {limit} arrays and objects, which no peer reads")]
    TooDeep {
        /// The deepest nesting that is written.
        limit: usize,
    },
}

/// What follows the message in an envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tail<'k> {
    Message,
    Request {
        id: &'k RequestId,
        /// The JSON text of the trace that it is sent in.
        trace: Option<&'k str>,
    },
    Reply {
        /// `None` where the request has no id.
        re: Option<&'k RequestId>,
        is_error: bool,
    },
    /// An item of the stream that was requested with this id.
    Item(&'k RequestId),
}

impl Json<'_> {
    /// Writes what stands before the message.
    fn open_envelope(&mut self, topic: &str, wire: &Wire) {
        if wire.plain_key && is_plain(topic) {
            return self.text.put_all(["{\"topic\":\"", topic, "\",\"", wire.message_key, "\":"]);
        }
        self.text.put("{\"topic\":");
        self.string(topic);
        self.text.put(",");
        self.string(wire.message_key);
        self.text.put(":");
    }

    /// Writes an id as the requester wrote it. It holds no control character.
    fn id(&mut self, key: &str, id: &RequestId) {
        match id.text() {
            Ok(number) => self.further_number(key, number),
            Err(text) => {
                let before = self.text.len();
                self.further(key, text);
                self.text.note_from(before);
            }
        }
    }
}

/// Why a message, whose text begins at `begin`, was not written.
#[cold]
fn why_not_written(json: &Json<'_>, begin: usize, limit: usize, error: serde_json::Error) -> EncodeError {
    let path = || {
        // The text up to the limit is stored whole, as UTF-8. Keys may be long.
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

/// The path of a number or map, as the subject of a sentence.
fn field(path: &str) -> &str {
    if path.is_empty() { "the message" } else { path }
}

/// The topic as it is written: an empty one becomes `none`.
pub(crate) fn topic_or_none(topic: &str) -> &str {
    if topic.is_empty() { NO_TOPIC } else { topic }
}

impl Wire {
    /// Appends the envelope of `message` and the delimiter to `buffer`; an empty topic is written as `none`.
    ///
    /// NaN and infinity are errors that name their path.
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
        self.encode_within(usize::MAX, Tail::Message, topic, message, buffer)
    }

    /// [`Wire::encode`] of any kind, with a limit on the length of the envelope. Bytes over it are counted, not stored.
    pub(crate) fn encode_within<M: Serialize + ?Sized>(
        &self,
        limit: usize,
        tail: Tail<'_>,
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
        tail: Tail<'_>,
        topic: &str,
        message: &M,
        buffer: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = buffer.len();
        let mut json = Json::new(Bounded::new(buffer, limit));
        json.open_envelope(topic_or_none(topic), self);
        let begin = json.text.len();
        if let Err(error) = message.serialize(&mut json) {
            return Err(why_not_written(&json, begin, limit, error));
        }
        match tail {
            Tail::Message => {}
            Tail::Request { id, trace } => {
                if let Some(trace) = trace {
                    json.further(TRACE, trace);
                }
                json.id(ID, id);
            }
            Tail::Reply { re, is_error } => {
                if is_error {
                    json.further(ERROR, "true");
                }
                match re {
                    Some(re) => json.id(RE, re),
                    None => json.further(RE, "null"),
                }
            }
            Tail::Item(re) => {
                json.further(MORE, "true");
                json.id(RE, re);
            }
        }
        json.text.put("}");
        let (size, verbatim, is_ascii) = (json.text.size(), json.verbatim, json.text.is_ascii());
        if size > limit {
            return Err(EncodeError::TooLarge { size, limit });
        }
        buffer.extend_from_slice(self.delimiter.as_bytes());
        self.keep_line_apart(verbatim, is_ascii, start, buffer);
        let size = buffer.len() - start - self.delimiter.len();
        if size > limit { Err(EncodeError::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Makes a request of a stream out of an encoded message, which is all that `buffer` holds. `trace` is the JSON text of
    /// the trace that it is sent in.
    pub(crate) fn complete_stream_request(
        &self,
        window: Window,
        trace: Option<&str>,
        id: &RequestId,
        buffer: &mut Vec<u8>,
    ) {
        // The brace at the end of the envelope.
        buffer.truncate(buffer.len() - self.delimiter.len() - 1);
        let mut json = Json::new(Bounded::new(buffer, usize::MAX));
        match window {
            Window::Bytes(bytes) => json.further_number(WINDOW, bytes),
            Window::Unlimited => json.further(WINDOW, "null"),
        }
        if let Some(trace) = trace {
            json.further(TRACE, trace);
        }
        json.id(ID, id);
        json.text.put("}");
        buffer.extend_from_slice(self.delimiter.as_bytes());
        // One could begin in the message and end in what follows it.
        self.keep_delimiter_out(0, buffer);
    }

    /// Appends the line that says that the stream with this id has begun, and the delimiter.
    pub(crate) fn encode_started(&self, topic: &str, re: &RequestId, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        let mut json = Json::new(Bounded::new(buffer, usize::MAX));
        json.text.put("{\"topic\":");
        json.string(topic_or_none(topic));
        json.further(STARTED, "true");
        json.id(RE, re);
        json.text.put("}");
        buffer.extend_from_slice(self.delimiter.as_bytes());
        self.keep_line_apart(true, false, start, buffer);
    }

    /// Keeps the delimiter, and the characters that many readers end a line at, out of the envelope that was written
    /// from `start` on. Only `verbatim` text can hold a control character, and ASCII has none of those characters.
    #[inline]
    fn keep_line_apart(&self, verbatim: bool, is_ascii: bool, start: usize, buffer: &mut Vec<u8>) {
        // In other text there is nothing to search for.
        if verbatim || !holds_control(self.delimiter) {
            self.keep_delimiter_out(start, buffer);
        }
        if !is_ascii && self.delimiter == "\n" {
            escape_line_ends(start, buffer);
        }
    }

    /// Removes delimiters from the envelope that was written from `start` on, except the one at its end.
    fn keep_delimiter_out(&self, start: usize, buffer: &mut Vec<u8>) {
        if find(self.delimiter.as_bytes(), &buffer[start..])
            == Some(buffer.len() - start - self.delimiter.len())
        {
            return;
        }
        if holds_control(self.delimiter) {
            self.blank_white_space(start, buffer)
        } else {
            self.escape_strings(start, buffer)
        }
    }

    /// Replaces all white space between the tokens of a `RawValue` by spaces. All of it, and not only the delimiters in
    /// it: a few spaces may form another delimiter with the text before them.
    fn blank_white_space(&self, start: usize, buffer: &mut [u8]) {
        let last = buffer.len() - self.delimiter.len();
        // Nothing else in JSON text is a control character.
        for byte in buffer[start..last].iter_mut().filter(|byte| **byte < 0x20) {
            *byte = b' ';
        }
    }

    /// Writes the first character of each delimiter inside the message as an escape. A delimiter can only be inside
    /// strings.
    fn escape_strings(&self, start: usize, buffer: &mut Vec<u8>) {
        let Some(first) = self.delimiter.chars().next() else { return };
        let escape: String =
            first.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let written = buffer.split_off(start);
        let last = written.len() - self.delimiter.len();
        let mut copied = 0;
        while let Some(found) = find(self.delimiter.as_bytes(), &written[copied..]).map(|at| copied + at) {
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

/// The characters beside the control characters that many readers end a line at (U+0085, U+2028, U+2029), with their
/// escapes.
const LINE_ENDS: [(&str, &str); 3] =
    [("\u{85}", "\\u0085"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];

/// The character at the front of `text` that many readers end a line at, and its escape.
fn line_end(text: &[u8]) -> Option<(&'static str, &'static str)> {
    LINE_ENDS.into_iter().find(|(character, _)| text.starts_with(character.as_bytes()))
}

/// Writes as escapes the characters that many readers end a line at. JSON has them only inside strings.
fn escape_line_ends(start: usize, buffer: &mut Vec<u8>) {
    let places = memchr::memchr2_iter(0xC2, 0xE2, &buffer[start..]);
    let found: Vec<_> = places.map(|at| start + at).filter(|at| line_end(&buffer[*at..]).is_some()).collect();
    let Some(first) = found.first() else { return };
    let (mut copied, written) = (0, buffer.split_off(*first));
    for at in found.iter().map(|at| at - first) {
        let Some((character, escape)) = line_end(&written[at..]) else { continue };
        buffer.extend_from_slice(&written[copied..at]);
        buffer.extend_from_slice(escape.as_bytes());
        copied = at + character.len();
    }
    buffer.extend_from_slice(&written[copied..]);
}

/// How many messages end in `bytes`, which must begin at the start of a message.
pub(crate) fn count_delimiters(wire: Wire, bytes: &[u8]) -> usize {
    memmem::find_iter(bytes, wire.delimiter.as_bytes()).count()
}

/// Where `delimiter` is first in `bytes`.
pub(super) fn find(delimiter: &[u8], bytes: &[u8]) -> Option<usize> {
    match delimiter {
        [byte] => memchr::memchr(*byte, bytes),
        _ => memmem::find(bytes, delimiter),
    }
}
