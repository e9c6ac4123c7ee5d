//! Text that others sent, for a terminal: in colour, in one line, and without what would steer the terminal.

use anstyle::{AnsiColor, Style};

pub(crate) const TIME: Style = Style::new().dimmed();
pub(crate) const CLIENT: Style = AnsiColor::Magenta.on_default();
pub(crate) const TOPIC: Style = AnsiColor::Cyan.on_default().bold();
const KEY: Style = AnsiColor::Blue.on_default();
const STRING: Style = AnsiColor::Green.on_default();
const NUMBER: Style = AnsiColor::Yellow.on_default();
const LITERAL: Style = AnsiColor::Magenta.on_default();

/// The text in a style, or as it is without colours.
pub(crate) fn styled(text: &str, style: Style, colours: bool) -> String {
    if colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// A topic: as it is where that is plain to see, as a JSON string otherwise.
pub(crate) fn topic(topic: &str) -> String {
    let plain = |character: char| !character.is_whitespace() && !steers(character) && character != '"';
    if !topic.is_empty() && topic.chars().all(plain) {
        return topic.to_owned();
    }
    escaped(&serde_json::Value::from(topic).to_string())
}

/// Well-formed JSON text in one line, its tokens in colours.
pub(crate) fn json(text: &str, colours: bool) -> String {
    let mut painted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (len, style) = match first {
            '"' => {
                let len = string_len(rest);
                let is_key = rest[len..].trim_start().starts_with(':');
                (len, Some(if is_key { KEY } else { STRING }))
            }
            '-' | '0'..='9' => {
                (run_len(rest, |c| matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9')), Some(NUMBER))
            }
            'a'..='z' => (run_len(rest, |c| c.is_ascii_lowercase()), Some(LITERAL)),
            _ => (first.len_utf8(), None),
        };
        let (token, behind) = rest.split_at(len);
        let token = escaped(token);
        painted.push_str(&style.map_or_else(|| token.clone(), |style| styled(&token, style, colours)));
        rest = behind;
    }
    painted
}

/// JSON text in one line, and otherwise the same: line breaks stand only between its tokens.
pub(crate) fn json_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Any text in one line, which steers no terminal.
pub(crate) fn one_line(text: &str) -> String {
    escaped(&text.split(char::is_whitespace).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// The length of the string that a text begins with, its quotes included.
fn string_len(text: &str) -> usize {
    let mut escape = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escape => escape = false,
            b'\\' => escape = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn run_len(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|character| !belongs(character)).unwrap_or(text.len())
}

/// Line breaks as spaces, and as JSON escapes what a terminal would take for commands or would write backwards.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => escaped.push(' '),
            // All of these are in the basic plane: four digits are enough.
            steering if steers(steering) => escaped += &format!("\\u{:04x}", u32::from(steering)),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Control characters, C1 among them, which some terminals obey, and the marks that turn the direction of writing.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_json_is_as_it_was_in_one_line() {
        let text = "{\"a\\\"b\": [1.50e+3, -0, true,\n null],\r\n\"ключ\" : \"\\\\\"}";
        assert_eq!(json(text, false), text.replace(['\n', '\r'], " "));
        assert_eq!(json_line(text), text.replace(['\n', '\r'], " "));
    }

    #[test]
    fn every_kind_of_token_has_its_colour() {
        assert_eq!(
            json(r#"{"key":["text",-1,true]}"#, true),
            "{\u{1b}[34m\"key\"\u{1b}[0m:[\u{1b}[32m\"text\"\u{1b}[0m,\u{1b}[33m-1\u{1b}[0m,\u{1b}[35mtrue\u{1b}[0m]}"
        );
    }

    #[test]
    fn nothing_that_was_sent_steers_the_terminal() {
        assert_eq!(json("\"a\u{9b}31m\u{7f}\u{202e}b\"", false), r#""a\u009b31m\u007f\u202eb""#);
        assert_eq!(topic("\u{1b}[2J"), r#""\u001b[2J""#);
        assert_eq!(topic("two words"), r#""two words""#);
        assert_eq!(topic("plain-topic"), "plain-topic");
        assert_eq!(one_line("  two\n\tlines\u{1b}[2J "), "two lines\\u001b[2J");
    }
}
