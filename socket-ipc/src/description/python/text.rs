//! Names, literals and docstrings. Texts come from another program: none can end its literal early.

use std::fmt::Write;

use serde_json::Value;

/// The keywords that a description may have as keys. The others begin with a capital letter.
const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield", "False", "None", "True",
];

/// Whether a key can be declared in the body of a class.
pub(super) fn is_plain_key(key: &str) -> bool {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    // Python changes names that begin with two underscores.
    key.chars().all(is_name)
        && key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !key.starts_with("__")
        && !KEYWORDS.contains(&key)
}

/// A text as a string literal.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => literal.extend(['\\', char]),
            '\n' => literal.push_str("\\n"),
            char => push_visible(&mut literal, char),
        }
    }
    literal.push('"');
    literal
}

/// Pushes a character, or an escape where an editor would not show it in its place.
fn push_visible(text: &mut String, char: char) {
    let is_hidden = char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let _ = match (is_hidden, u32::from(char)) {
        (false, _) => {
            text.push(char);
            Ok(())
        }
        (true, code @ ..0x100) => write!(text, "\\x{code:02x}"),
        (true, code) => write!(text, "\\u{code:04x}"),
    };
}

/// A line of a comment.
pub(super) fn visible(line: &str) -> String {
    let mut text = String::new();
    line.chars().filter(|char| !char.is_control()).for_each(|char| push_visible(&mut text, char));
    text
}

/// The documentation of a schema.
pub(super) fn documentation(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default().trim();
    let deprecated = if schema.get("deprecated") == Some(&Value::Bool(true)) { "Deprecated." } else { "" };
    [text, deprecated].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Writes a text as a docstring.
pub(super) fn docstring(file: &mut String, indent: &str, text: &str) {
    let lines: Vec<String> = text.trim().lines().map(docstring_line).collect();
    match &*lines {
        [] => {}
        [line] => {
            // A quotation mark or a backslash at the end would belong to the end of the docstring.
            let _ = writeln!(file, "{indent}\"\"\"{line}\"\"\"");
        }
        [first, rest @ ..] => {
            let _ = writeln!(file, "{indent}\"\"\"{first}");
            for line in rest {
                let _ = writeln!(file, "{}", format!("{indent}{line}").trim_end());
            }
            let _ = writeln!(file, "{indent}\"\"\"");
        }
    }
}

fn docstring_line(line: &str) -> String {
    let (mut text, line) = (String::new(), line.trim_end());
    let mut quotation_marks = 0;
    for (at, char) in line.char_indices() {
        quotation_marks = if char == '"' { quotation_marks + 1 } else { 0 };
        match char {
            '\\' => text.push_str("\\\\"),
            // Three of them, or one at the end, would end the docstring.
            '"' if quotation_marks == 3 || at + 1 == line.len() => {
                text.push_str("\\\"");
                quotation_marks = 0;
            }
            '\t' => text.push_str("    "),
            char if char.is_control() => {}
            char => push_visible(&mut text, char),
        }
    }
    text
}
