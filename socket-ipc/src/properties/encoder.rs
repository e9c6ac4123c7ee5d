//! Messages are written so that they read back.

use serde_json::Value;
use serde_json::value::RawValue;

use super::wire;
use crate::wire::{EnvelopeKind, RequestId, StreamPart, Tail, Wire, count_delimiters, topic_or_none};

/// A trace that a request is sent in.
const TRACE: &str = r#""00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01""#;

/// Whatever a message holds, the delimiter follows it and does not appear inside it, and the message reads back as it
/// was, and as what it was. The first bytes of `data` choose the wire, what the message is, and the length of the topic.
pub fn encoder(data: &[u8]) {
    let [number, topic_len, rest @ ..] = data else { return };
    let (wire, kind) = (wire(*number), *number / 7);
    let (topic, message) = rest.split_at(usize::from(*topic_len).min(rest.len()));
    let (topic, message) = (String::from_utf8_lossy(topic), String::from_utf8_lossy(message));
    reads_back(wire, kind, &topic, &message, &Value::from(&*message));
    if let Ok(tree) = serde_json::from_str::<Value>(&message) {
        reads_back(wire, kind, &topic, &tree, &tree);
        if let Ok(verbatim) = serde_json::from_str::<&RawValue>(&message) {
            reads_back(wire, kind, &topic, verbatim, &tree);
        }
    }
}

fn reads_back<M: serde::Serialize + ?Sized>(
    wire: Wire,
    kind: u8,
    topic: &str,
    message: &M,
    expected: &Value,
) {
    let mut bytes = b"before".to_vec();
    let id = match kind / 6 % 2 {
        0 => RequestId::from(7),
        _ => RequestId::read("\"%EOM%%<EOM>§\"").unwrap_or_else(|| panic!("no id")),
    };
    let tail = match kind % 6 {
        0 => Tail::Message,
        1 => Tail::Request { id: &id, trace: None },
        2 => Tail::Request { id: &id, trace: Some(TRACE) },
        3 => Tail::Reply { re: Some(&id), is_error: false },
        4 => Tail::Reply { re: Some(&id), is_error: true },
        _ => Tail::Item(&id),
    };
    if let Err(error) = wire.encode_within(usize::MAX, tail, topic, message, &mut bytes) {
        assert_eq!(bytes, b"before", "a failed encoding left bytes behind");
        panic!("not encoded: {error}");
    }
    let bytes = bytes.split_off(6);
    let len = bytes.len() - wire.delimiter().len();
    assert_eq!(count_delimiters(wire, &bytes), 1, "a delimiter inside a message");
    assert!(bytes.ends_with(wire.delimiter().as_bytes()), "no delimiter after a message");
    let envelope = wire.decode(&bytes[..len]).unwrap_or_else(|error| panic!("not read back: {error}"));
    assert_eq!(envelope.topic, topic_or_none(topic));
    let text = |id: &RequestId| serde_json::from_str::<Value>(&id.to_string()).ok();
    let is_kept = match (&tail, &envelope.kind) {
        (Tail::Message, kind) => *kind == EnvelopeKind::Message,
        (Tail::Request { trace, .. }, EnvelopeKind::Request(read)) => {
            envelope.trace == *trace && text(read) == text(&id)
        }
        (Tail::Reply { .. } | Tail::Item(_), EnvelopeKind::Reply(read)) => text(read) == text(&id),
        _ => false,
    };
    assert!(is_kept, "{tail:?} is read as {:?}", envelope.kind);
    assert_eq!(envelope.is_error, matches!(tail, Tail::Reply { is_error: true, .. }));
    assert_eq!(envelope.stream == StreamPart::Item, matches!(tail, Tail::Item(_)));
    let read = envelope.message.to_value().unwrap_or_else(|error| panic!("not decoded: {error}"));
    assert!(is_same(&read, expected), "{read} is not {expected}");
}

/// Whether two trees are equal. The last bit of a float may differ: serde_json rounds it differently at times.
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
