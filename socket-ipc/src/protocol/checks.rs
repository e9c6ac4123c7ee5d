//! What the code of `#[derive(Protocol)]` checks at compile time.

/// Fails to compile if the topic at `index` is equal to an earlier one. `#[derive(Protocol)]` calls it for each type of
/// a direction; the error is reported at the call, on that type.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "at compile time: it is the error")]
pub const fn has_topic_once(topics: &[&str], index: usize, direction: &str, protocol: &str) {
    let mut before = 0;
    while before < index {
        if same(topics[before], topics[index]) {
            let mut text = Text { bytes: [0; 1024], len: 0 };
            text.push("two types that travel ");
            text.push(direction);
            text.push(" in `");
            text.push(protocol);
            text.push("` have the topic `");
            text.push(topics[index]);
            text.push("`");
            panic!("{}", text.get());
        }
        before += 1;
    }
}

/// The same for the members of a set, which `#[derive(TopicSet)]` calls.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "at compile time: it is the error")]
pub const fn set_has_topic_once(topics: &[&str], index: usize, set: &str) {
    let mut before = 0;
    while before < index {
        if same(topics[before], topics[index]) {
            let mut text = Text { bytes: [0; 1024], len: 0 };
            text.push("two members of `");
            text.push(set);
            text.push("` have the topic `");
            text.push(topics[index]);
            text.push("`");
            panic!("{}", text.get());
        }
        before += 1;
    }
}

/// `==` for text in constants.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// A text that is assembled at compile time, where nothing can be allocated. Names are short: a topic has at most 256
/// bytes.
struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
    }

    const fn get(&self) -> &str {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            // The text is too long, and was truncated inside a character.
            Err(_) => "two types of one protocol or set have the same topic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_topic_once;

    #[test]
    fn has_topic_once_different_topics_pass() {
        let topics = ["hello", "", "hell", "hello ", "Hello"];
        for index in 0..topics.len() {
            has_topic_once(&topics, index, "to the server", "Chat");
        }
    }

    #[test]
    #[should_panic(expected = "two types that travel to clients in `Chat` have the topic `hello`")]
    fn has_topic_once_equal_topics_panics_with_topic_and_protocol() {
        has_topic_once(&["hello", "greeting", "hello"], 2, "to clients", "Chat");
    }

    #[test]
    #[should_panic(expected = "two types of one protocol or set have the same topic")]
    fn has_topic_once_equal_topics_too_long_for_the_text_panics() {
        let topic = "ü".repeat(1000);
        has_topic_once(&[&topic, &topic], 1, "to clients", "Chat");
    }
}
