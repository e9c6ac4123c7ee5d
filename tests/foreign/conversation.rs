//! The messages of a conversation with a foreign peer, and their exchange.

use std::ops::Range;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

/// A message as either end received it.
#[derive(Clone, PartialEq, Debug)]
pub struct Received {
    /// The topic.
    pub topic: String,
    /// The message; null where there was none.
    pub message: Value,
}

impl Received {
    /// A message under a topic.
    pub fn new(topic: impl Into<String>, message: Value) -> Self {
        Received { topic: topic.into(), message }
    }

    /// Compares in full, and prints no more than 400 characters of each.
    fn expect(&self, expected: &Received) {
        let short = |received: &Received| format!("{received:?}").chars().take(400).collect::<String>();
        assert!(self == expected, "received {}\nexpected {}", short(self), short(expected));
    }
}

/// `speech.json`, which every peer reads too.
#[derive(Deserialize)]
struct Speech {
    alphabet: Vec<String>,
    values: Vec<Value>,
    delimiters: Vec<Delimiter>,
}

#[derive(Deserialize)]
struct Delimiter {
    topic: String,
    message: Value,
}

static SPEECH: LazyLock<Speech> = LazyLock::new(|| {
    serde_json::from_str(include_str!("speech.json")).expect("speech.json has the form that every peer reads")
});

/// The text of the message number `n` of a count: up to 39 of the letters in `speech.json`.
pub fn text(n: u32) -> String {
    let (n, alphabet) = (n as usize, &SPEECH.alphabet);
    (0..n * 7 % 40).map(|k| alphabet[(n * 31 + k * 17) % alphabet.len()].as_str()).collect()
}

/// A text of this many bytes in UTF-8.
pub fn big(bytes: usize) -> String {
    const UNIT: &str = "a megabyte of ☃ and é ";
    UNIT.repeat(bytes / UNIT.len()) + &"x".repeat(bytes % UNIT.len())
}

/// A batch of messages that either end of a conversation can send.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Every type of JSON and every kind of text.
    Values,
    /// Text that looks like a delimiter, and is none.
    Delimiters,
    /// Numbered messages.
    Count(Range<u32>),
    /// One message with a text of this many bytes.
    Big(usize),
    /// A topic and no message.
    Missing,
    /// A message under the empty topic.
    None,
}

/// All batches.
pub fn all_batches() -> Vec<Batch> {
    vec![
        Batch::Values,
        Batch::Delimiters,
        Batch::Missing,
        Batch::Count(0..5000),
        // 1 MiB, and nearly the 4 MiB that a message may have by default.
        Batch::Big(1 << 20),
        Batch::Big(4_100_000),
        Batch::None,
        // The batches before have left no trace.
        Batch::Count(5000..5010),
    ]
}

/// Some batches, for later connections.
pub fn some_batches() -> Vec<Batch> {
    vec![Batch::Count(0..100), Batch::Values, Batch::Count(100..110)]
}

impl Batch {
    /// The command that makes a peer send it.
    pub(super) fn command(&self) -> String {
        match self {
            Batch::Values => "values".into(),
            Batch::Delimiters => "delimiters".into(),
            Batch::Count(range) => format!("count {} {}", range.start, range.end),
            Batch::Big(bytes) => format!("big {bytes}"),
            Batch::Missing => "missing".into(),
            Batch::None => "none".into(),
        }
    }

    /// The messages of the batch.
    pub fn messages(&self) -> Vec<Received> {
        match self {
            Batch::Values => {
                SPEECH.values.iter().map(|value| Received::new("value", value.clone())).collect()
            }
            Batch::Delimiters => SPEECH
                .delimiters
                .iter()
                .map(|text| Received::new(&text.topic, text.message.clone()))
                .collect(),
            Batch::Count(range) => {
                range.clone().map(|n| Received::new("count", json!({"n": n, "text": text(n)}))).collect()
            }
            Batch::Big(bytes) => vec![Received::new("big", json!({"text": big(*bytes)}))],
            Batch::Missing => vec![Received::new("missing", Value::Null)],
            Batch::None => vec![Received::new("", json!("under no topic"))],
        }
    }

    /// What `receiver` receives when `sender` has sent the batch.
    fn received(&self, sender: Dialect, receiver: Dialect) -> Vec<Received> {
        let mut messages = self.messages();
        if sender == Dialect::Node02 {
            // A sender of 0.2 writes `%EOM%` unescaped, and every receiver takes it for a delimiter. So the peer does
            // not send it. The other direction is received in full.
            messages.retain(|Received { topic, message }| !format!("{topic}{message}").contains("%EOM%"));
        }
        if sender == Dialect::Ours || receiver == Dialect::Ours {
            // The name that the Node library documents for the empty topic, and does not use.
            messages
                .iter_mut()
                .filter(|received| received.topic.is_empty())
                .for_each(|received| received.topic = "none".into());
        }
        messages
    }
}

/// The dialect of an end, as far as it makes a difference to the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// This library.
    Ours,
    /// Version 0.2 of the Node library, which can't send every text.
    Node02,
    /// Any other peer.
    Foreign,
}

/// One end of a conversation.
pub trait Conversant {
    /// Its dialect.
    fn dialect(&self) -> Dialect;

    /// Sends the whole batch, without waiting for a reply.
    fn send(&mut self, batch: &Batch) -> impl Future<Output = ()>;

    /// The next message received.
    fn receive(&mut self) -> impl Future<Output = Received>;
}

/// Both ends send each batch at the same time, and receive the batch of the peer, in full and in order. Returns the
/// number of messages.
pub async fn exchange(one: &mut impl Conversant, other: &mut impl Conversant, batches: &[Batch]) -> usize {
    let mut exchanged = 0;
    for batch in batches {
        one.send(batch).await;
        other.send(batch).await;
        exchanged += expect(other, batch.received(one.dialect(), other.dialect())).await;
        exchanged += expect(one, batch.received(other.dialect(), one.dialect())).await;
    }
    exchanged
}

async fn expect(end: &mut impl Conversant, messages: Vec<Received>) -> usize {
    for message in &messages {
        end.receive().await.expect(message);
    }
    messages.len()
}
