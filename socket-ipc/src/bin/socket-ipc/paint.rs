//! Text from other programs, for a terminal: in colour, in one line, and without characters that control the terminal.

use std::borrow::Cow;
use std::fmt::Display;

use anstyle::{AnsiColor, Style};

pub(crate) const TIME: Style = Style::new().dimmed();
pub(crate) const CLIENT: Style = AnsiColor::Magenta.on_default();
pub(crate) const TOPIC: Style = AnsiColor::Cyan.on_default().bold();
const KEY: Style = AnsiColor::Blue.on_default();
const STRING: Style = AnsiColor::Green.on_default();
const NUMBER: Style = AnsiColor::Yellow.on_default();
const LITERAL: Style = AnsiColor::Magenta.on_default();

/// How many bytes are kept of either end of a long text.
const KEPT: usize = 1024;

/// Text for people. Everything that is printed on a terminal passes through it, and is escaped. So no text of another
/// program (a topic, a message, a path, the name of a process) controls the terminal, is invisible, or looks like
/// another text.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    text: String,
    colours: bool,
}

impl Shown {
    pub(crate) fn new(colours: bool) -> Self {
        Self { text: String::new(), colours }
    }

    /// Appends a text in one line. A long text is shortened in the middle.
    pub(crate) fn put(&mut self, text: impl Display) {
        self.escaped(&shortened(&text.to_string()));
    }

    /// Appends the same in a style; without colours the style is left out.
    pub(crate) fn put_styled(&mut self, text: impl Display, style: Style) {
        self.styled(style, |shown| shown.put(text));
    }

    /// Appends a topic: as it is if all its characters are visible, otherwise as a JSON string.
    pub(crate) fn put_topic(&mut self, topic: &str) {
        let plain = |character: char| {
            !character.is_whitespace() && !steers(character) && !is_invisible(character) && character != '"'
        };
        if !topic.is_empty() && topic.chars().all(plain) {
            self.put_styled(topic, TOPIC);
        } else {
            self.put_styled(serde_json::Value::from(topic), TOPIC);
        }
    }

    /// Appends well-formed JSON text, whole, its tokens in colours: in one line, or `pretty`, in several ones.
    pub(crate) fn put_json(&mut self, text: &str, pretty: bool) {
        let mut rest = text;
        let mut lines = pretty.then(Layout::default);
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
            let token;
            (token, rest) = rest.split_at(len);
            if let Some(layout) = &mut lines {
                if token.chars().all(char::is_whitespace) {
                    continue;
                }
                if let Some(depth) = layout.break_before(token) {
                    self.break_line(depth);
                }
            }
            match style {
                Some(style) => self.styled(style, |shown| shown.escaped(token)),
                None => self.escaped(token),
            }
            if pretty && token == ":" {
                self.text.push(' ');
            }
        }
    }

    fn break_line(&mut self, depth: usize) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", depth));
    }

    /// Appends whole lines, such as source text, with their newlines and indentation. Nothing is shortened.
    pub(crate) fn put_lines(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            self.escaped(content);
            if content.len() < line.len() {
                self.end_line();
            }
        }
    }

    pub(crate) fn end_line(&mut self) {
        self.text.push('\n');
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends a text with line breaks as spaces. Characters that a terminal takes for a command, writes from right to
    /// left or does not show become JSON escapes.
    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\n' | '\r' | '\t' => self.text.push(' '),
                hidden if steers(hidden) || is_invisible(hidden) => {
                    for unit in hidden.encode_utf16(&mut [0; 2]) {
                        self.text += &format!("\\u{unit:04x}");
                    }
                }
                other => self.text.push(other),
            }
        }
    }

    fn styled(&mut self, style: Style, put: impl FnOnce(&mut Self)) {
        if !self.colours {
            return put(self);
        }
        self.text += &style.to_string();
        put(self);
        self.text += &format!("{style:#}");
    }
}

/// Where lines of JSON text in several lines end.
#[derive(Default)]
struct Layout {
    depth: usize,
    /// The last token was a bracket that opens, or a comma.
    is_behind: Option<Behind>,
}

enum Behind {
    Opening,
    Comma,
}

impl Layout {
    /// Takes the next token, and says how deep the line is indented that it begins, if it begins one.
    fn break_before(&mut self, token: &str) -> Option<usize> {
        let is_behind = self.is_behind.take();
        if let "}" | "]" = token {
            self.depth = self.depth.saturating_sub(1);
            // Empty brackets stay together.
            return (!matches!(is_behind, Some(Behind::Opening))).then_some(self.depth);
        }
        let depth = is_behind.is_some().then_some(self.depth);
        self.is_behind = match token {
            "{" | "[" => {
                self.depth += 1;
                Some(Behind::Opening)
            }
            "," => Some(Behind::Comma),
            _ => None,
        };
        depth
    }
}

/// Any text in one line, without colours.
pub(crate) fn one_line(text: impl Display) -> Shown {
    // Shortened before it is escaped, because it may be long.
    let text = text.to_string();
    let text = shortened(&text);
    let mut shown = Shown::new(false);
    shown.put(text.split_whitespace().collect::<Vec<_>>().join(" "));
    shown
}

/// JSON text in one line. Line breaks in JSON text are only between its tokens, so the value stays the same.
pub(crate) fn json_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Shortens a long text in the middle. The front says what happened, and the back mostly says why.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= 2 * KEPT + 64 {
        return Cow::Borrowed(text);
    }
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let front = (0..=KEPT).rev().find(is_boundary).unwrap_or(0);
    let back = (text.len() - KEPT..text.len()).find(is_boundary).unwrap_or(text.len());
    Cow::Owned(format!("{} … {} bytes more … {}", &text[..front], back - front, &text[back..]))
}

/// The length of the JSON string at the start of a text, including its quotes.
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

/// Control characters, and the characters that change the direction of writing. Some terminals obey C1 controls, too.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Characters that take no space, or look like a blank: with them one name looks like another. Joiners and variation
/// selectors are among them, and tags, which can hide whole texts.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, colours: bool) -> String {
        let mut shown = Shown::new(colours);
        shown.put_json(text, false);
        shown.text
    }

    fn pretty(text: &str) -> String {
        let mut shown = Shown::new(false);
        shown.put_json(text, true);
        shown.text
    }

    fn topic(topic: &str) -> String {
        let mut shown = Shown::new(false);
        shown.put_topic(topic);
        shown.text
    }

    fn line(text: &str) -> String {
        one_line(text).text
    }

    #[test]
    fn json_without_colours_is_unchanged_in_one_line() {
        let text = "{\"a\\\"b\": [1.50e+3, -0, true,\n null],\r\n\"ключ\" : \"\\\\\"}";
        assert_eq!(json(text, false), text.replace(['\n', '\r'], " "));
        assert_eq!(json_line(text), text.replace(['\n', '\r'], " "));
    }

    #[test]
    fn json_pretty_is_indented_and_otherwise_unchanged() {
        let text = r#"{"a": [ ],"b":{ },"c":[1.50,{"d, [":null} , [[2]]],"d":"{\u001b"}"#;
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1.50,\n    {\n      \"d, [\": null\n    },\n    \
                        [\n      [\n        2\n      ]\n    ]\n  ],\n  \"d\": \"{\\u001b\"\n}";
        assert_eq!(pretty(text), expected);
        assert_eq!(
            (pretty("5"), pretty("[]"), pretty("[\n]")),
            ("5".to_owned(), "[]".to_owned(), "[]".to_owned())
        );
        // No text of another program begins a line of its own.
        assert_eq!(pretty("\"a\u{2028}\u{9b}\""), "\"a\\u2028\\u009b\"");
    }

    #[test]
    fn json_every_kind_of_token_has_its_colour() {
        assert_eq!(
            json(r#"{"key":["text",-1,true]}"#, true),
            "{\u{1b}[34m\"key\"\u{1b}[0m:[\u{1b}[32m\"text\"\u{1b}[0m,\u{1b}[33m-1\u{1b}[0m,\u{1b}[35mtrue\u{1b}[0m]}"
        );
    }

    #[test]
    fn json_string_with_escapes_is_one_token() {
        assert_eq!(
            json(r#"{"a\"1":"\\","b":"\"true\""}"#, true),
            "{\u{1b}[34m\"a\\\"1\"\u{1b}[0m:\u{1b}[32m\"\\\\\"\u{1b}[0m,\
             \u{1b}[34m\"b\"\u{1b}[0m:\u{1b}[32m\"\\\"true\\\"\"\u{1b}[0m}"
        );
    }

    #[test]
    fn text_with_control_characters_is_escaped() {
        assert_eq!(json("\"a\u{9b}31m\u{7f}\u{202e}b\"", false), r#""a\u009b31m\u007f\u202eb""#);
        assert_eq!(topic("\u{1b}[2J"), r#""\u001b[2J""#);
        assert_eq!(topic("two words"), r#""two words""#);
        assert_eq!(topic("plain-topic"), "plain-topic");
        assert_eq!(line("  two\n\tlines\u{1b}[2J "), "two lines\\u001b[2J");
    }

    #[test]
    fn text_invisible_characters_are_shown_escaped() {
        for hidden in "\u{61c}\u{ad}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{fe0f}\u{3164}".chars() {
            let escape = format!("\\u{:04x}", u32::from(hidden));
            assert_eq!(line(&format!("a{hidden}b")), format!("a{escape}b"));
            assert_eq!(topic(&format!("a{hidden}b")), format!("\"a{escape}b\""));
            assert_eq!(json(&format!("\"a{hidden}b\""), false), format!("\"a{escape}b\""));
        }
        // Tags are beyond the basic plane, where JSON has two escapes for a character.
        assert_eq!(json("\"\u{e0041}\"", false), r#""\udb40\udc41""#);
        assert_eq!(serde_json::from_str::<String>(r#""\udb40\udc41""#).unwrap(), "\u{e0041}");
        assert_eq!(line("für 日本 😀"), "für 日本 😀");
    }

    #[test]
    fn text_long_is_shortened_in_the_middle() {
        let text = format!("begin {}{} end", "ä".repeat(1 << 20), "\u{200b}".repeat(1 << 20));
        let shown = line(&text);
        assert!(shown.starts_with("begin ää") && shown.ends_with("\\u200b end"), "{shown}");
        assert!(shown.contains(" bytes more ") && shown.len() < 6 * 2 * KEPT, "{}", shown.len());
        let longest = "x".repeat(2 * KEPT + 64);
        assert_eq!(line(&longest), longest);
        let kept = "x".repeat(KEPT);
        assert_eq!(line(&format!("{longest}x")), format!("{kept} … 65 bytes more … {kept}"));
    }

    #[test]
    fn text_lines_keep_newlines_and_escape_other_controls() {
        let mut shown = Shown::new(true);
        shown.put_lines("  a\u{1b}[2J\n\n  b\r");
        assert_eq!(shown.as_str(), "  a\\u001b[2J\n\n  b ");
    }
}
