//! What holds for any bytes whatever: each property is written once, as a function that panics where it does not
//! hold. Fuzzing looks for bytes that break it, a property test draws them, and what fuzzing has found to be of
//! interest is replayed in every test run.

// A property says that it does not hold by a panic: no part of a library that is built for use.
#![allow(clippy::panic)]

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::metrics::Metrics;
use crate::router::{Audience, CallResult, Owned, Raw, Report, Router};
use crate::sync::lock;
use crate::unix_socket::socket_file::{MAX_PATH_LEN, refuse_path};
use crate::wire::{
    Envelope, EnvelopeKind, Frame, Framer, RequestId, Tail, Wire, count_ends, reply_id_at_end,
    request_id_at_end, topic_or_none,
};

/// How many bytes of a message over the limit the framer keeps, and how many of its end beside them.
const KEEP: usize = 8;
const TAIL: usize = 80;

/// What serde_json says of text that is well-formed and that it can't turn into a tree all the same.
const ONLY_A_DECODER_FINDS: [&str; 4] = [
    "number out of range",
    "lone leading surrogate",
    "unexpected end of hex escape",
    "recursion limit exceeded",
];

fn wire(number: u8) -> Wire {
    let own = [Wire::new("%%", "%%"), Wire::new("§\"}", "payload"), Wire::new("\u{1e}", "message")];
    let presets = [Wire::JSON_LINES, Wire::NODE_0_4, Wire::NODE_0_2, Wire::NODE_0_1];
    let wires: Vec<_> = presets.into_iter().chain(own.into_iter().flatten()).collect();
    wires[usize::from(number) % wires.len()]
}

/// A stream gives the same messages in whatever pieces it arrives, the ones that a naive search for the ends
/// gives, and no more of it is kept than the limit allows. The first bytes say which wire, which limit and
/// which pieces.
pub fn framer(data: &[u8]) {
    let [number, limit, pieces, stream @ ..] = data else { return };
    let (wire, limit) = (wire(*number), usize::from(*limit));
    let (end, mut rest, mut expected) = (wire.delimiter().as_bytes(), stream, Vec::new());
    while let Some(len) = rest.windows(end.len()).position(|window| window == end) {
        let kept = if len > limit { len.min(KEEP) } else { len };
        expected.push((len as u64, len > limit, rest[..kept].to_vec()));
        rest = &rest[len + end.len()..];
    }
    let whole = framed(wire, limit, &[stream]);
    assert_eq!(whole, (expected, rest.len() as u64), "the whole stream");
    // Pieces of 1 byte, of a few, or of a few more, in turn.
    let sizes = [1, usize::from(pieces & 7) + 1, usize::from(pieces >> 3) + 1];
    let (mut left, mut cut) = (stream, Vec::new());
    for size in sizes.into_iter().cycle() {
        if left.is_empty() {
            break;
        }
        let (piece, after) = left.split_at(size.min(left.len()));
        cut.push(piece);
        left = after;
    }
    assert_eq!(framed(wire, limit, &cut), whole, "in pieces");
}

/// The length of each message, whether that was too long, and what was kept of it; and how many bytes follow.
type Framed = (Vec<(u64, bool, Vec<u8>)>, u64);

fn framed(wire: Wire, limit: usize, pieces: &[&[u8]]) -> Framed {
    let mut framer = Framer::new(wire, limit, KEEP);
    let (mut received, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        received.extend_from_slice(piece);
        loop {
            let taken = match framer.next(&received) {
                Frame::Message { len, taken } => {
                    frames.push((len as u64, false, received[..len].to_vec()));
                    taken
                }
                Frame::TooLong { len, kept, taken } => {
                    frames.push((len, true, received[..kept].to_vec()));
                    taken
                }
                Frame::Incomplete => break,
            };
            received.drain(..taken);
        }
        if let Some(excess) = framer.excess(&received) {
            received.drain(excess);
        }
        let most = limit.max(KEEP) + TAIL + wire.delimiter().len() + piece.len();
        assert!(received.len() <= most, "{} bytes are kept where {most} are the most", received.len());
    }
    (frames, framer.unfinished(&received))
}

/// What is an envelope, and what is in it, is the same for the parser of this library and for serde_json's tree;
/// and a message is heard the same whether it is decoded in one pass or after its envelope, and whatever was
/// heard before it. The first byte says which wire.
pub fn decoder(data: &[u8]) {
    let [number, bytes @ ..] = data else { return };
    let wire = wire(*number);
    let read = wire.decode(bytes);
    match (reference(wire, bytes), &read) {
        (Ok((topic, message)), Ok(envelope)) => {
            assert_eq!(envelope.topic, topic);
            assert_eq!(envelope.message.to_value().ok(), Some(message));
            answered_alike(wire, bytes, envelope);
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => panic!("an envelope was refused: {error}"),
        (Err(reason), Ok(_)) => {
            assert!(ONLY_A_DECODER_FINDS.iter().any(|known| reason.contains(known)), "not refused: {reason}");
        }
    }
    let topic = read.as_ref().map_or("t", |envelope| &*envelope.topic);
    if topic.len() <= TOPIC_LEN {
        heard_alike(wire, topic, bytes);
    }
}

const TOPIC_LEN: usize = 64;

/// A request is told apart by the same value that its reply repeats, however it is written; only a reply is an error
/// reply; and what is seen at the end of an envelope alone is what is read of all of it.
fn answered_alike(wire: Wire, bytes: &[u8], envelope: &Envelope<'_>) {
    let (id, re) = match &envelope.kind {
        EnvelopeKind::Message => (None, None),
        EnvelopeKind::Request(id) => (Some(id), None),
        EnvelopeKind::Reply(re) => (None, Some(re)),
    };
    assert!(!envelope.is_error || re.is_some(), "only a reply is an error reply");
    if let Some(seen) = reply_id_at_end(bytes) {
        assert_eq!(re.and_then(RequestId::number), Some(seen), "a reply seen at its end");
    }
    if let Some(seen) = request_id_at_end(bytes) {
        // What has both keys is a reply.
        assert!(re.is_some() || id == Some(&seen), "a request seen at its end");
    }
    let Some(id) = id else { return };
    for is_error in [false, true] {
        let (kind, mut written) = (envelope.kind.reply(), Vec::new());
        let written_well =
            wire.encode_within(usize::MAX, &Tail { kind: &kind, is_error }, "t", &1, &mut written);
        assert!(written_well.is_ok(), "a reply that is not written");
        assert_eq!(count_ends(wire, &written), 1, "an end inside a reply");
        written.truncate(written.len() - wire.delimiter().len());
        let reply = wire.decode(&written).unwrap_or_else(|error| panic!("no reply: {error}"));
        let EnvelopeKind::Reply(re) = &reply.kind else { panic!("no reply: {:?}", reply.kind) };
        assert_eq!((re.number(), reply.is_error), (id.number(), is_error), "the reply to {id}");
        let text = |id: &RequestId| serde_json::from_str::<Value>(&id.to_string()).ok();
        assert_eq!(text(re), text(id), "the reply to {id}");
        // The one wire whose end is written as an escape is known by it.
        assert!(re == id || id.to_string().contains(wire.delimiter().chars().next().unwrap_or_default()));
    }
}

/// The topic and message of an envelope, by way of a tree.
fn reference(wire: Wire, bytes: &[u8]) -> Result<(String, Value), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let Pairs(pairs) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let all = |key| pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value);
    let topic = match all("topic").collect::<Vec<_>>()[..] {
        [Value::String(topic)] => topic_or_none(topic).to_owned(),
        _ => return Err("not one topic".to_owned()),
    };
    match all(wire.message_key()).collect::<Vec<_>>()[..] {
        [] => Ok((topic, Value::Null)),
        [message] => Ok((topic, message.clone())),
        _ => Err("two messages".to_owned()),
    }
}

/// An object with all its pairs, where a tree would keep the last of a name.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// What was heard and reported, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, text: String) {
        lock(&self.0).push(text);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Report<()> for Log {
    fn message_error(&self, error: MessageError, (): ()) {
        let kind = match error.kind() {
            MessageErrorKind::Decode { .. } => "does not decode",
            MessageErrorKind::Envelope(_) => "no envelope",
            _ => "other",
        };
        self.note(format!("{kind}: {} of {}", error.raw().len(), error.len()));
    }

    fn listener_panicked(&self, heard: String, (): (), panic: String) {
        panic!("the listener of {heard} panicked: {panic}");
    }

    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], (): ()) {
        self.note(format!("reply to {re}: {topic}, {} bytes", envelope.len()));
    }

    // Nobody responds here, which is no matter of what is heard.
    fn refuse(&self, _: &EnvelopeKind, _: &str, _: ErrorReply, (): ()) {}
}

fn heard_alike(wire: Wire, topic: &str, bytes: &[u8]) {
    let log = Log::default();
    let router = Router::<()>::new(
        wire,
        TOPIC_LEN,
        usize::MAX,
        Metrics::new(),
        crate::listener::DropReport::default(),
    );
    let attach_typed = || {
        let log = log.clone();
        let hear = Owned::<Value, _>::new(move |message, _, ()| {
            log.note(format!("typed: {message}"));
            CallResult::Done
        });
        router.attach(Audience::Topic(topic), hear)
    };
    let mut cached = router.cached();
    let mut hear = |bytes: &[u8]| {
        assert!(router.dispatch(&mut cached, bytes, (), &log).is_none(), "nothing is to be waited for");
        log.taken()
    };
    attach_typed();
    let alone = hear(bytes);
    assert_eq!(hear(bytes), alone, "after itself");
    let mut other = Vec::new();
    if wire.encode(topic, &"other", &mut other).is_ok() {
        other.truncate(other.len() - wire.delimiter().len());
        assert_eq!(hear(&other), ["typed: \"other\""]);
        assert_eq!(hear(bytes), alone, "after another message of its topic");
    }
    attach_typed();
    let twice: Vec<_> = match &alone[..] {
        [once] if !once.starts_with("no envelope") && !once.starts_with("reply") => {
            vec![once.clone(), once.clone()]
        }
        once => once.to_vec(),
    };
    assert_eq!(hear(bytes), twice, "by two listeners");
    let raw = log.clone();
    router.attach(
        Audience::Every,
        Box::new(Raw(move |_: crate::RawMessage<'_>, topic: &str, ()| raw.note(format!("raw: {topic}")))),
    );
    let beside_raw = hear(bytes);
    let is_envelope =
        wire.decode(bytes).is_ok_and(|envelope| !matches!(envelope.kind, EnvelopeKind::Reply(_)));
    assert_eq!(beside_raw.first().is_some_and(|first| *first == format!("raw: {topic}")), is_envelope);
    assert_eq!(beside_raw[usize::from(is_envelope)..], twice, "beside a raw listener");
}

/// Whatever a message holds, its end stands behind it and nowhere before, and it reads back as it was. The first
/// bytes say which wire and how long the topic is.
pub fn encoder(data: &[u8]) {
    let [number, topic_len, rest @ ..] = data else { return };
    let wire = wire(*number);
    let (topic, message) = rest.split_at(usize::from(*topic_len).min(rest.len()));
    let (topic, message) = (String::from_utf8_lossy(topic), String::from_utf8_lossy(message));
    reads_back(wire, &topic, &message, &Value::from(&*message));
    if let Ok(tree) = serde_json::from_str::<Value>(&message) {
        reads_back(wire, &topic, &tree, &tree);
        if let Ok(verbatim) = serde_json::from_str::<&RawValue>(&message) {
            reads_back(wire, &topic, verbatim, &tree);
        }
    }
}

fn reads_back<M: serde::Serialize + ?Sized>(wire: Wire, topic: &str, message: &M, expected: &Value) {
    let mut bytes = b"before".to_vec();
    if let Err(error) = wire.encode(topic, message, &mut bytes) {
        assert_eq!(bytes, b"before", "what failed left something behind");
        panic!("not encoded: {error}");
    }
    let bytes = bytes.split_off(6);
    let len = bytes.len() - wire.delimiter().len();
    assert_eq!(count_ends(wire, &bytes), 1, "an end inside a message");
    assert!(bytes.ends_with(wire.delimiter().as_bytes()), "no end behind a message");
    let envelope = wire.decode(&bytes[..len]).unwrap_or_else(|error| panic!("not read back: {error}"));
    assert_eq!(envelope.topic, topic_or_none(topic));
    let read = envelope.message.to_value().unwrap_or_else(|error| panic!("not decoded: {error}"));
    assert!(is_same(&read, expected), "{read} is not {expected}");
}

/// Whether two trees are equal, but for the last bit of a float, which serde_json may miss.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones.iter().all(|(key, one)| others.get(key).is_some_and(|other| is_same(one, other)))
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= one.abs() * 2.0 * f64::EPSILON
        }
        (one, other) => one == other,
    }
}

/// A path is accepted exactly where the kernel takes it for a socket file's: not empty, no NUL, not too long.
pub fn path(data: &[u8]) {
    let path = Path::new(OsStr::from_bytes(data));
    let accepted = !data.is_empty() && !data.contains(&0) && data.len() <= MAX_PATH_LEN;
    match refuse_path(path) {
        None => {
            assert!(accepted, "accepted: {path:?}");
            assert!(SocketAddr::from_pathname(path).is_ok(), "not the kernel's idea of a path: {path:?}");
        }
        Some(reason) => assert!(!accepted && !reason.is_empty(), "refused: {path:?}: {reason}"),
    }
}
