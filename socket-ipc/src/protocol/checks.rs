//! What the code of `#[derive(Protocol)]` checks at compile time.

/// Fails to compile where the topic at `index` is among those before it. `#[derive(Protocol)]` calls it for each type
/// of a direction; the message stands at the call, on that type.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "at compile time: it is the error")]
pub const fn stands_once(topics: &[&str], index: usize, direction: &str, protocol: &str) {
    let mut before = 0;
    while before < index {
        if same(topics[before], topics[index]) {
            let mut text = Text { bytes: [0; 1024], len: 0 };
            text.push("topic `");
            text.push(topics[index]);
            text.push("` stands twice among those ");
            text.push(direction);
            text.push(" in `");
            text.push(protocol);
            text.push("`");
            panic!("{}", text.get());
        }
        before += 1;
    }
}

/// `==`, which is no constant function.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// A text that is put together at compile time, when nothing can be allocated. Names are short: a topic has 256 bytes
/// at most.
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
            // Too long, and cut within a character.
            Err(_) => "a topic stands twice in one direction of a protocol",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::stands_once;

    #[test]
    fn other_names_stand_beside_each_other() {
        let topics = ["hello", "", "hell", "hello ", "Hello"];
        for index in 0..topics.len() {
            stands_once(&topics, index, "to the server", "Chat");
        }
    }

    #[test]
    #[should_panic(expected = "topic `hello` stands twice among those to clients in `Chat`")]
    fn the_message_names_the_topic_and_the_protocol() {
        stands_once(&["hello", "greeting", "hello"], 2, "to clients", "Chat");
    }

    #[test]
    #[should_panic(expected = "a topic stands twice in one direction of a protocol")]
    fn a_topic_that_no_derive_would_let_pass_is_still_refused() {
        let topic = "ü".repeat(1000);
        stands_once(&[&topic, &topic], 1, "to clients", "Chat");
    }
}
