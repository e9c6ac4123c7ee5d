//! Messages are written so that they read back.

use serde_json::Value;
use serde_json::value::RawValue;

use super::wire;
use crate::wire::{Wire, count_delimiters, topic_or_none};

/// Whatever a message holds, the delimiter follows it and does not appear inside it, and the message reads back as it
/// was. The first bytes of `data` choose the wire and the length of the topic.
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
        assert_eq!(bytes, b"before", "a failed encoding left bytes behind");
        panic!("not encoded: {error}");
    }
    let bytes = bytes.split_off(6);
    let len = bytes.len() - wire.delimiter().len();
    assert_eq!(count_delimiters(wire, &bytes), 1, "a delimiter inside a message");
    assert!(bytes.ends_with(wire.delimiter().as_bytes()), "no delimiter after a message");
    let envelope = wire.decode(&bytes[..len]).unwrap_or_else(|error| panic!("not read back: {error}"));
    assert_eq!(envelope.topic, topic_or_none(topic));
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
