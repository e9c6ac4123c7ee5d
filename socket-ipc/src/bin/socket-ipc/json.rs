//! JSON from the command line and standard input: checked to be well-formed, and otherwise unchanged.

use std::str::FromStr;

use serde_json::value::RawValue;
use socket_ipc::Wire;

/// How much of a wrong argument is shown.
const SHOWN: usize = 40;

/// A message on the command line.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// `-`: it comes from standard input.
    Input,
    Text(Box<RawValue>),
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Input);
        }
        parse(text.as_bytes()).map(Self::Text).map_err(|reason| {
            // The usual mistake: a shell removes the quotes of "hello".
            let word = text.starts_with(char::is_alphabetic) && text.chars().all(char::is_alphanumeric);
            if word {
                format!("expected JSON: {reason}; a string has quotes of its own, '\"{}\"'", shortened(text))
            } else {
                format!("expected JSON: {reason}")
            }
        })
    }
}

/// A topic and its message, as a line or an argument: `TOPIC JSON`, or an envelope, which is what `listen` prints.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) topic: String,
    pub(crate) message: Box<RawValue>,
}

impl Envelope {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = text.trim_ascii();
        if text.starts_with(b"{") {
            let envelope = Wire::JSON_LINES.decode(text).map_err(|error| error.to_string())?;
            let message = parse(envelope.message.as_str().as_bytes())?;
            return Ok(Self { topic: envelope.topic.into_owned(), message });
        }
        let topic = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let message = text[topic.len()..].trim_ascii();
        let topic = std::str::from_utf8(topic).map_err(|_| "the topic is not UTF-8".to_owned())?.to_owned();
        // A topic alone stands for the message `null`, as for `send`.
        let message = parse(if message.is_empty() { b"null" } else { message })?;
        Ok(Self { topic, message })
    }
}

impl FromStr for Envelope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Err("expected `TOPIC JSON` or an envelope".to_owned());
        }
        Self::parse(text.as_bytes())
            .map_err(|reason| format!("expected `TOPIC JSON` or an envelope: {reason}"))
    }
}

/// Reads one JSON text. An error names its line and column.
pub(crate) fn parse(text: &[u8]) -> Result<Box<RawValue>, String> {
    serde_json::from_slice::<Box<RawValue>>(text).map_err(|error| error.to_string())
}

/// A text, shortened to its beginning if it is long.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
