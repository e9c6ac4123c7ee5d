//! JSON as it was given: known to be well-formed, and otherwise untouched.

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
            // What a shell leaves of "hello" is the usual mistake.
            let word = text.starts_with(char::is_alphabetic) && text.chars().all(char::is_alphanumeric);
            if word {
                format!("expected JSON: {reason}; a string has quotes of its own, '\"{}\"'", cut(text))
            } else {
                format!("expected JSON: {reason}")
            }
        })
    }
}

/// Reads one JSON text; what is wrong with it comes with its place.
pub(crate) fn parse(text: &[u8]) -> Result<Box<RawValue>, String> {
    serde_json::from_slice::<Box<RawValue>>(text).map_err(|error| error.to_string())
}

/// The beginning of a text, where it is long.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
