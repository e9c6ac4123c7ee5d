//! JSON from the command line and standard input: checked to be well-formed, and otherwise unchanged.

use std::str::FromStr;

use serde_json::value::RawValue;

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
