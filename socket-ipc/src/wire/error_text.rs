//! The place and the text of serde's errors, for error messages.

/// How many bytes are kept of the front and of the back of serde's text: it may quote a long string of the message.
const REASON_END: usize = 256;

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
