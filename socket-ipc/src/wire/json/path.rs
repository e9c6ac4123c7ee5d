//! The path of the place where JSON text breaks off.

/// An array or object that is open.
enum Open<'t> {
    /// How many elements come before the one that is being written.
    Array(usize),
    /// The key whose value is being written, as in the text. `None` before a key.
    Object(Option<&'t str>),
}

/// The path of the next value in well-formed JSON text that breaks off, such as `points[3].y`. Where a key comes next,
/// the path of its object. Empty where nothing is open.
pub(in crate::wire) fn path_at_end(text: &str) -> String {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match (byte, open.last_mut()) {
            (b'"', last) => {
                let Some(end) = string_end(text, at) else { break };
                if let Some(Open::Object(key @ None)) = last {
                    *key = Some(&text[at..end]);
                }
                at = end;
                continue;
            }
            (b'[', _) => open.push(Open::Array(0)),
            (b'{', _) => open.push(Open::Object(None)),
            (b']' | b'}', _) => drop(open.pop()),
            (b',', Some(Open::Array(before))) => *before += 1,
            (b',', Some(Open::Object(key))) => *key = None,
            _ => {}
        }
        at += 1;
    }
    let mut path = String::new();
    for part in open {
        match part {
            Open::Array(before) => path += &format!("[{before}]"),
            Open::Object(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path += &serde_json::from_str::<String>(key).unwrap_or_else(|_| key.to_owned());
            }
            Open::Object(None) => {}
        }
    }
    path
}

/// The end of the string that begins at `start`, behind its quotes. `None` where the text breaks off inside it.
fn string_end(text: &str, start: usize) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_at_end_broken_text_returns_path_of_next_value() {
        for (text, path) in [
            ("", ""),
            ("[", "[0]"),
            ("[1,", "[1]"),
            ("[[],{},[1,[2,3,", "[2][1][2]"),
            (r#"{"points":[{"x":1},{"x":1,"y":"#, "points[1].y"),
            (r#"{"a":{"b":1},"c":"#, "c"),
            (r#"{"a":{"b":1,"#, "a"),
            (r#"{"a":[{"#, "a[0]"),
            (r#"{"a":[{"b":1,""#, "a[0]"),
            ("{\"a\":1,\n \"b\" : [ 1 , ", "b[1]"),
            (r#"{"a[{,\"\\":"#, r#"a[{,"\"#),
            (r#"{"a":"]},\"","b":"#, "b"),
            (r#"{"\u00e4 ö":"#, "ä ö"),
        ] {
            assert_eq!(path_at_end(text), path, "{text}");
        }
    }
}
