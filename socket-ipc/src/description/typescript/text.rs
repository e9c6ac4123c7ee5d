//! Names, literals and comments.

use std::fmt::Write;

use serde_json::Value;

/// The name of a member, quoted if it is no identifier.
pub(super) fn key(name: &str) -> String {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let is_plain = name.chars().all(is_name) && name.starts_with(|first: char| !first.is_ascii_digit());
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// A text as a string literal. JSON and TypeScript write it alike.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes the documentation of a schema as a comment.
pub(super) fn document(file: &mut String, indent: &str, schema: &Value) {
    let mut text = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        text.push_str(if text.is_empty() { "@deprecated" } else { "\n\n@deprecated" });
    }
    comment(file, indent, &text);
}

/// Writes a comment. No text can end it early.
pub(super) fn comment(file: &mut String, indent: &str, text: &str) {
    // The text comes from another program, and may be printed on a terminal: control characters are removed.
    let printable = |character: &char| !character.is_control() || *character == '\n';
    let text: String = text.trim().chars().filter(printable).collect();
    let text = text.replace("*/", "*\\/");
    if text.is_empty() {
        return;
    }
    let _ = match text.lines().count() {
        1 => writeln!(file, "{indent}/** {text} */"),
        _ => {
            let lines = text.lines().map(|line| format!("{indent} * {}", line.trim_end()));
            let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
            writeln!(file, "{indent}/**\n{}\n{indent} */", lines.join("\n"))
        }
    };
}
