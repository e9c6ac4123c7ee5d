//! Properties of the wire, for every preset and a wire of a user's own. The submodules test its parts.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::framer::TAIL;
use super::*;

mod decode;
mod encode;
mod framer;
mod streams;

const WIRES: [Wire; 6] = [
    Wire::JSON_LINES,
    Wire::NODE_0_4,
    Wire::NODE_0_2,
    Wire::NODE_0_1,
    Wire { delimiter: "%%", message_key: "%%", plain_key: true },
    Wire { delimiter: "§\"}", message_key: "payload", plain_key: true },
];

fn tail_of(kind: &EnvelopeKind) -> Tail<'_> {
    match kind {
        EnvelopeKind::Message => Tail::Message,
        EnvelopeKind::Request(id) => Tail::Request { id, trace: None },
        EnvelopeKind::Reply(re) => Tail::Reply { re: Some(re), is_error: false },
    }
}

fn wires() -> impl Strategy<Value = Wire> {
    proptest::sample::select(&WIRES[..])
}

/// Text made of pieces that could be mistaken for a delimiter.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(
            &[
                "%",
                "%EOM%",
                "%<EOM>%\n",
                "\n",
                "\0\0",
                "\0",
                "§",
                "\"}",
                "}",
                "\\",
                "\"",
                "é",
                "🦀",
                "\u{2028}"
            ][..]
        )
        .prop_map(str::to_owned),
        any::<String>(),
        "[a-zA-Z0-9%]{0,8}",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn message() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Numbers that serde_json reads back exactly; others may lose the last bit without `float_roundtrip`.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((text(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn encoded(wire: Wire, topic: &str, message: &impl serde::Serialize) -> Vec<u8> {
    let mut buffer = b"before".to_vec();
    wire.encode(topic, message, &mut buffer).unwrap();
    assert!(buffer.starts_with(b"before"), "the buffer keeps what was in it");
    buffer.split_off(6)
}

/// Every message and error of a stream that arrives in the pieces given.
fn framed(wire: Wire, limit: usize, pieces: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
    let mut framer = Framer::new(wire, limit, 8);
    let (mut received, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        received.extend_from_slice(piece);
        loop {
            match framer.next(&received) {
                Frame::Message { len, taken } => {
                    frames.push((len as u64, received[..len].to_vec()));
                    received.drain(..taken);
                }
                Frame::TooLong { len, kept, taken } => {
                    frames.push((len, received[..kept].to_vec()));
                    received.drain(..taken);
                }
                Frame::Incomplete => break,
            }
        }
        if let Some(excess) = framer.excess(&received) {
            received.drain(excess);
        }
        assert!(
            received.len() <= limit.max(8).saturating_add(TAIL + wire.delimiter.len() + piece.len()),
            "more is kept than the limit"
        );
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn wire_encode_then_decode_is_identity(wire in wires(), topic in text(), message in message()) {
        let bytes = encoded(wire, &topic, &message);
        let envelope = wire.decode(&bytes[..bytes.len() - wire.delimiter.len()]).unwrap();
        prop_assert_eq!(envelope.topic.as_ref(), topic_or_none(&topic));
        prop_assert_eq!(envelope.message.to_value().unwrap(), message);
    }

    #[test]
    fn wire_encoded_message_never_holds_delimiter(wire in wires(), topic in text(), message in message()) {
        let bytes = encoded(wire, &topic, &message);
        let first = bytes.windows(wire.delimiter.len()).position(|window| window == wire.delimiter.as_bytes());
        prop_assert_eq!(first, Some(bytes.len() - wire.delimiter.len()));
    }

    #[test]
    fn wire_raw_value_white_space_never_forms_delimiter(wire in wires(), message in message()) {
        let pretty = serde_json::to_string_pretty(&message).unwrap().replace('\n', "\r\n\n");
        let raw = RawValue::from_string(pretty).unwrap();
        let bytes = encoded(wire, "raw", &raw);
        prop_assert_eq!(count_delimiters(wire, &bytes), 1);
        let envelope = wire.decode(&bytes[..bytes.len() - wire.delimiter.len()]).unwrap();
        prop_assert_eq!(envelope.message.to_value().unwrap(), message);
    }

    #[test]
    fn wire_any_input_does_not_panic(wire in wires(), bytes in prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), text().prop_map(String::into_bytes)]) {
        let _ = wire.decode(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = wire.head(text);
            let _ = decode_one_pass::<Value>(text);
        }
        framed(wire, 16, &[&bytes]);
    }
}

#[test]
fn wire_message_one_byte_over_limit_returns_error() {
    let wire = Wire::JSON_LINES;
    let size = encoded(wire, "t", &"x").len() - 1;
    let mut buffer = Vec::new();
    assert!(wire.encode_within(size, Tail::Message, "t", &"x", &mut buffer).is_ok());
    let error = wire.encode_within(size, Tail::Message, "t", &"xy", &mut buffer).unwrap_err();
    assert!(
        matches!(error, EncodeError::TooLarge { size: s, limit: l } if (s, l) == (size + 1, size)),
        "{error:?}"
    );
    assert_eq!(buffer.len(), size + 1, "what failed left something behind");
    assert_eq!(framed(wire, 3, &[b"abc\nabcd\n"]), [(3, b"abc".to_vec()), (4, b"abcd".to_vec())]);
}

#[test]
fn wire_presets_are_valid() {
    for preset in [Wire::JSON_LINES, Wire::NODE_0_4, Wire::NODE_0_2, Wire::NODE_0_1] {
        assert_eq!(Wire::new(preset.delimiter, preset.message_key), Ok(preset));
    }
}

#[test]
fn wire_delimiter_of_json_text_returns_error() {
    for delimiter in ["}", "\"", "true", "1", ", ", "\\n", "/", "u0025", "", " "] {
        assert!(Wire::new(delimiter, "message").is_err(), "{delimiter:?} was accepted");
    }
    assert_eq!(Wire::new(&"%".repeat(65).leak()[..], "message"), Err(WireError::DelimiterLength));
}

#[test]
fn wire_key_of_envelope_returns_error() {
    for key in ["", "topic", "id", "re", "error", "window", "started", "more", "trace"] {
        assert_eq!(Wire::new("\n", key), Err(WireError::MessageKey));
    }
}

#[test]
fn wire_delimiter_with_backslash_returns_error() {
    assert_eq!(Wire::new("%\\u0025", "message"), Err(WireError::DelimiterInsideMessages));
}

#[test]
fn wire_control_lines_are_for_all_but_node() {
    for wire in [Wire::NODE_0_4, Wire::NODE_0_2, Wire::NODE_0_1] {
        assert!(!wire.has_control_lines(), "{wire:?}");
    }
    for wire in [Wire::JSON_LINES, Wire { delimiter: "%%", message_key: "message", plain_key: true }] {
        assert!(wire.has_control_lines(), "{wire:?}");
    }
}

#[test]
fn raw_message_equality_is_that_of_its_text() {
    let text = raw_message::RawMessage::borrowed("[1]");
    assert_eq!(text, text.clone().into_owned());
    assert_ne!(text, raw_message::RawMessage::borrowed("[1.0]"));
}
