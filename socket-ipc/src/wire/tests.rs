//! Properties of the wire, for every preset and a wire of a user's own.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::framer::TAIL;
use super::*;

const WIRES: [Wire; 6] = [
    Wire::JSON_LINES,
    Wire::NODE_0_4,
    Wire::NODE_0_2,
    Wire::NODE_0_1,
    Wire { delimiter: "%%", message_key: "%%", plain_key: true },
    Wire { delimiter: "§\"}", message_key: "payload", plain_key: true },
];

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
        prop_assert_eq!(count_ends(wire, &bytes), 1);
        let envelope = wire.decode(&bytes[..bytes.len() - wire.delimiter.len()]).unwrap();
        prop_assert_eq!(envelope.message.to_value().unwrap(), message);
    }

    #[test]
    fn decode_one_pass_agrees_with_full_parser(wire in wires(), topic in text(), message in message(), tail in "[ \r]{0,2}(x|,\"id\":7\\}|\\})?") {
        let mut bytes = encoded(wire, &topic, &message);
        bytes.truncate(bytes.len() - wire.delimiter.len());
        bytes.extend_from_slice(tail.as_bytes());
        let text = std::str::from_utf8(&bytes).unwrap();
        let full = wire.decode(text.as_bytes()).map(|envelope| (envelope.topic.into_owned(), envelope.message.to_value().unwrap()));
        let one_pass = wire.head(text).and_then(|head| Some((head.topic.to_owned(), decode_one_pass::<Value>(head.rest)?)));
        if let Some(one_pass) = one_pass {
            prop_assert_eq!(full.unwrap(), one_pass);
        } else if topic.chars().all(|c| c.is_ascii_alphanumeric()) && wire.message_key == "message" {
            prop_assert!(full.is_err(), "one pass was not enough");
        }
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

    #[test]
    fn framer_any_pieces_give_same_messages(
        wire in wires(),
        messages in proptest::collection::vec((text(), message()), 1..4),
        splits in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        limit in prop_oneof![Just(usize::MAX), 0usize..80],
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|(topic, message)| encoded(wire, topic, message)).collect();
        let mut bounds: Vec<_> = splits.iter().map(|split| split.index(stream.len())).chain([0, stream.len()]).collect();
        bounds.sort_unstable();
        let pieces: Vec<_> = bounds.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let whole = framed(wire, limit, &[&stream]);
        prop_assert_eq!(whole.len(), messages.len());
        prop_assert_eq!(framed(wire, limit, &pieces), whole);
    }
}

/// Searching all of it again at every byte would be eight terabytes of search.
#[test]
fn framer_byte_at_a_time_searches_each_byte_once() {
    const LEN: usize = 4 << 20;
    for wire in WIRES {
        let mut bytes = vec![b'x'; LEN];
        bytes.extend_from_slice(wire.delimiter.as_bytes());
        let mut framer = Framer::new(wire, LEN, 8);
        for len in 0..bytes.len() {
            assert_eq!(framer.next(&bytes[..len]), Frame::Incomplete);
            assert_eq!(framer.excess(&bytes[..len]), None);
        }
        assert_eq!(framer.next(&bytes), Frame::Message { len: LEN, taken: bytes.len() });
    }
}

#[test]
fn framer_split_at_every_byte_gives_same_messages() {
    for wire in WIRES {
        let stream: Vec<u8> =
            ["ä🦀", "%EOM%\0\0\n", ""].iter().flat_map(|text| encoded(wire, text, text)).collect();
        let whole = framed(wire, 1_000, &[&stream]);
        assert_eq!(whole.len(), 3);
        for at in 0..=stream.len() {
            assert_eq!(framed(wire, 1_000, &[&stream[..at], &stream[at..]]), whole);
        }
        let bytes: Vec<_> = stream.chunks(1).collect();
        assert_eq!(framed(wire, 1_000, &bytes), whole);
    }
}

#[test]
fn wire_message_one_byte_over_limit_returns_error() {
    let wire = Wire::JSON_LINES;
    let size = encoded(wire, "t", &"x").len() - 1;
    let mut buffer = Vec::new();
    assert!(wire.encode_within(size, &Tail::of(&EnvelopeKind::Message), "t", &"x", &mut buffer).is_ok());
    let error =
        wire.encode_within(size, &Tail::of(&EnvelopeKind::Message), "t", &"xy", &mut buffer).unwrap_err();
    assert!(
        matches!(error, EncodeError::TooLarge { size: s, limit: l } if (s, l) == (size + 1, size)),
        "{error:?}"
    );
    assert_eq!(buffer.len(), size + 1, "what failed left something behind");
    assert_eq!(framed(wire, 3, &[b"abc\nabcd\n"]), [(3, b"abc".to_vec()), (4, b"abcd".to_vec())]);
}

#[test]
fn encode_escape_beyond_limit_returns_error() {
    let plain = encoded(Wire::NODE_0_4, "t", &"%EOM%").len() - 2;
    assert!(
        Wire::NODE_0_4
            .encode_within(plain, &Tail::of(&EnvelopeKind::Message), "t", &"%EOM%", &mut Vec::new())
            .is_ok()
    );
    assert!(
        Wire::NODE_0_2
            .encode_within(plain, &Tail::of(&EnvelopeKind::Message), "t", &"%EOM%", &mut Vec::new())
            .is_err()
    );
    let escaped = encoded(Wire::NODE_0_2, "t", &"%EOM%").len() - 5;
    assert!(
        Wire::NODE_0_2
            .encode_within(escaped, &Tail::of(&EnvelopeKind::Message), "t", &"%EOM%", &mut b"before".to_vec())
            .is_ok()
    );
}

#[test]
fn framer_late_delimiter_keeps_limit() {
    assert_eq!(framed(Wire::JSON_LINES, 9, &[b"123456789", b"\n"]), [(9, b"123456789".to_vec())]);
    assert_eq!(framed(Wire::JSON_LINES, 9, &[b"1234567890", b"\n"]), [(10, b"12345678".to_vec())]);
}

#[test]
fn count_ends_counts_delimiters() {
    for (count, bytes) in [(0, ""), (0, "%EOM"), (1, "{}%EOM%"), (2, "%EOM%%EOM%"), (2, "%EOM%{}%EOM%{")] {
        assert_eq!(count_ends(Wire::NODE_0_2, bytes.as_bytes()), count, "{bytes:?}");
    }
}

#[test]
fn encode_wide_tree_counts_depth_only() {
    let wide = |inner: Value| Value::Array(vec![inner; 300]);
    for inner in [serde_json::json!([]), serde_json::json!({}), serde_json::json!([{"a": [1]}])] {
        let encoded = encoded(Wire::JSON_LINES, "t", &wide(inner.clone()));
        let envelope = Wire::JSON_LINES.decode(&encoded[..encoded.len() - 1]).unwrap();
        assert_eq!(envelope.message.to_value().unwrap(), wide(inner));
    }
    // A tree that follows a closed one may have the full depth.
    let deep = |depth| (0..depth).fold(Value::Null, |inner, _| serde_json::json!({ "a": inner }));
    let mut buffer = Vec::new();
    assert!(Wire::JSON_LINES.encode("t", &[wide(Value::Array(vec![])), deep(126)], &mut buffer).is_ok());
    assert!(Wire::JSON_LINES.encode("t", &[wide(Value::Array(vec![])), deep(127)], &mut buffer).is_err());
}

#[test]
fn decode_long_reason_is_shortened_in_the_middle() {
    let reason = |text: &str| match Wire::JSON_LINES.decode(text.as_bytes()) {
        Err(EnvelopeError::NotAnEnvelope { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason("7"), "invalid type: integer `7`, expected an object with a topic");
    assert_eq!(reason(r#"{"topic":7}"#), "invalid type: integer `7`, expected a string as topic");
    // The longest that is quoted whole, and one a byte longer.
    for (len, shortened) in [(464, false), (465, true)] {
        let reason = reason(&format!("\"{}\"", "é".repeat(len / 2) + &"x".repeat(len % 2)));
        assert_eq!(reason.contains(" … "), shortened, "{} bytes: {reason}", reason.len());
        assert!(reason.starts_with("invalid type: string \"éé"), "{reason}");
        assert!(reason.ends_with("\", expected an object with a topic"), "{reason}");
        assert!(reason.len() <= 520, "{} bytes", reason.len());
    }
}

#[test]
fn encode_message_over_limit_is_not_stored() {
    let message = "x".repeat(1_000_000);
    let mut buffer = Vec::new();
    let error = Wire::JSON_LINES
        .encode_within(100, &Tail::of(&EnvelopeKind::Message), "t", &message, &mut buffer)
        .unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge { size: 1_000_026, limit: 100 }), "{error:?}");
    assert!(buffer.capacity() < 1_000);
}

#[test]
fn encode_any_smaller_limit_returns_whole_size() {
    let message = serde_json::json!([{"key": "value", "in \"quotes\"": 1.5}, "x".repeat(40), [true, null]]);
    let kind = EnvelopeKind::Reply(7.into());
    let tail = Tail { kind: &kind, is_error: true };
    let encode =
        |limit, buffer: &mut Vec<u8>| Wire::JSON_LINES.encode_within(limit, &tail, "topic", &message, buffer);
    let mut buffer = Vec::new();
    encode(usize::MAX, &mut buffer).unwrap();
    let whole = buffer.len() - 1;
    for too_small in 0..whole {
        buffer.clear();
        match encode(too_small, &mut buffer) {
            Err(EncodeError::TooLarge { size, limit }) => assert_eq!((size, limit), (whole, too_small)),
            other => panic!("{too_small}: {other:?}"),
        }
        assert!(buffer.is_empty());
    }
    encode(whole, &mut buffer).unwrap();
}

#[test]
fn encode_too_deep_tree_returns_error() {
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let encode = |depth| Wire::JSON_LINES.encode("t", &nested(depth), &mut Vec::new());
    assert!(encode(127).is_ok());
    assert!(matches!(encode(128), Err(EncodeError::TooDeep { limit: 127 })));
    assert!(matches!(encode(3_000), Err(EncodeError::TooDeep { .. })));
}

/// Raw text inside as many arrays.
struct Nest<'r>(usize, &'r RawValue);

impl serde::Serialize for Nest<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => self.1.serialize(serializer),
            outer => [Nest(outer - 1, self.1)].serialize(serializer),
        }
    }
}

#[test]
fn encode_raw_text_of_deepest_nesting_passes() {
    // Many brackets, of which 127 are open at once.
    let wide = format!("[{}{}1{}]", "[],".repeat(300), "[".repeat(126), "]".repeat(126));
    for (outer, text, passes) in
        [(127, "1", true), (127, "[]", false), (126, "[]", true), (0, &wide, true), (1, &wide, false)]
    {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let result = Wire::JSON_LINES.encode("t", &Nest(outer, &raw), &mut Vec::new());
        assert_eq!(result.is_ok(), passes, "{text} in {outer}");
    }
}

#[test]
fn encode_too_deep_raw_text_returns_error() {
    let nested = |depth: usize| {
        format!("{}{}", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2)).replace(":}", ":1}")
    };
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let encode = |message: &dyn Fn(&mut Vec<u8>) -> Result<(), EncodeError>| message(&mut Vec::new());
    for (depth, outer, passes) in
        [(126, 0, true), (128, 0, false), (126, 1, true), (126, 2, false), (100_000, 0, false)]
    {
        let text = raw(&nested(depth));
        let result = encode(&|buffer| match outer {
            0 => Wire::JSON_LINES.encode("t", &text, buffer),
            1 => Wire::JSON_LINES.encode("t", &[&text], buffer),
            _ => Wire::JSON_LINES.encode("t", &[[&text]], buffer),
        });
        assert_eq!(result.is_ok(), passes, "{depth} levels in {outer}");
        assert!(passes || matches!(result, Err(EncodeError::TooDeep { limit: 127 })), "{result:?}");
    }
    // Brackets that open nothing, or close again, are not counted.
    for text in
        [format!("\"{}\\\"{}\"", "[".repeat(300), "{".repeat(300)), format!("[{}1]", "[],{},".repeat(300))]
    {
        assert!(Wire::JSON_LINES.encode("t", &raw(&text), &mut Vec::new()).is_ok(), "{text}");
    }
}

#[test]
fn decode_depth_limit_is_same_in_one_pass() {
    for (depth, passes) in [(126, true), (128, false), (100_000, false)] {
        let text = format!("{{\"topic\":\"t\",\"message\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let envelope = Wire::JSON_LINES.decode(text.as_bytes()).unwrap();
        assert_eq!(envelope.message.to_value().is_ok(), passes, "{depth} levels by the full parser");
        let head = Wire::JSON_LINES.head(&text).unwrap();
        assert_eq!(decode_one_pass::<Value>(head.rest).is_some(), passes, "{depth} levels in one pass");
    }
}

#[test]
fn decode_white_space_is_that_of_json() {
    for (space, passes) in [(" \t\r\n", true), ("\x0c", false), ("\x0b", false), ("\u{a0}", false)] {
        for text in [
            format!("{{\"topic\":\"t\",\"message\":5{space}}}"),
            format!("{{\"topic\":\"t\",\"message\":5}}{space}"),
        ] {
            assert_eq!(Wire::JSON_LINES.decode(text.as_bytes()).is_ok(), passes, "{text:?}");
            let head = Wire::JSON_LINES.head(&text).unwrap();
            assert_eq!(decode_one_pass::<Value>(head.rest).is_some(), passes, "{text:?} in one pass");
        }
    }
}

#[test]
fn decode_invalid_envelope_returns_error() {
    let invalid: &[&[u8]] = &[
        b"null",
        b"42",
        b"\"x\"",
        b"[]",
        br#"["t",1]"#,
        b"{",
        b"",
        b"   ",
        b"{}",
        br#"{"message":1}"#,
        br#"{"topic":5,"message":1}"#,
        br#"{"topic":{},"message":1}"#,
        br#"{"topic":null,"message":1}"#,
        br#"{"topic":"a","topic":"a","message":1}"#,
        br#"{"topic":"a","message":1,"message":1}"#,
        br#"{"topic":"a","message":1} x"#,
        br#"{"topic":"a","message":1}{"topic":"a","message":1}"#,
        b"\xef\xbb\xbf{\"topic\":\"a\",\"message\":1}",
        b"\0{\"topic\":\"a\",\"message\":1}",
        br#"{"topic":"\ud800","message":1}"#,
        br#"{"topic":"a","message":}"#,
        br#"{"topic":"a","message":nul}"#,
        b"{\"topic\":\"a\nb\",\"message\":1}",
        b"{\"topic\":\"a\",\"message\":\"\n\"}",
        b"{\"topic\":\"\xff\",\"message\":1}",
        b"{\"topic\":\"a\",\"message\":\"\xff\"}",
        b"{\"topic\":\"a\",\"\xff\":1,\"message\":1}",
        b"{\"topic\":\"a\",\"other\":\"\xff\",\"message\":1}",
    ];
    for bytes in invalid {
        assert!(Wire::JSON_LINES.decode(bytes).is_err(), "{:?} was accepted", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn decode_unusual_envelope_is_accepted() {
    for (text, topic, message) in [
        (r#"{"topic":"a","message":1}"#, "a", "1"),
        ("\t {\"topic\":\"a\",\"message\":1}\r", "a", "1"),
        (r#"{"message":1,"topic":"a"}"#, "a", "1"),
        (r#"{"id":{"x":[1]},"topic":"a","re":7,"message":1,"more":null}"#, "a", "1"),
        (r#"{"topic":"a"}"#, "a", "null"),
        (r#"{"topic":"","message":1}"#, "none", "1"),
        (r#"{"topic":"\u0068i\/","message":1}"#, "hi/", "1"),
        (r#"{"topic":"a\u0000","message":"\ud800"}"#, "a\0", r#""\ud800""#),
        (r#"{"\u0074opic":"a","mess\u0061ge":1e999}"#, "a", "1e999"),
    ] {
        let envelope = Wire::JSON_LINES.decode(text.as_bytes()).unwrap();
        assert_eq!((envelope.topic.as_ref(), envelope.message.as_str()), (topic, message), "{text}");
    }
}

#[test]
fn shift_place_returns_place_in_received_bytes() {
    let text = "{\n\"topic\":\"a\",\n \"message\": {\"x\": true}}";
    let offset = text.find("{\"x\"").unwrap();
    let error = serde_json::from_str::<std::collections::HashMap<String, u8>>(&text[offset..text.len() - 1])
        .unwrap_err();
    let (line, column, reason) = place(&error);
    let (line, column) = shift_place(text, offset, line, column);
    let at = text.lines().nth(line - 1).unwrap();
    assert_eq!((line, &at[..column]), (3, " \"message\": {\"x\": true"), "{reason}");
    assert!(!reason.contains("line"), "{reason}");
}

#[test]
fn encode_many_delimiters_takes_linear_time() {
    // Quadratic work would take minutes here.
    let text = "%EOM%".repeat(400_000);
    let bytes = encoded(Wire::NODE_0_2, "t", &text);
    assert_eq!(count_ends(Wire::NODE_0_2, &bytes), 1);
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
    assert_eq!(Wire::new(&"%".repeat(65).leak()[..], "message"), Err(WireError::EndLength));
}

#[test]
fn wire_key_of_envelope_returns_error() {
    for key in ["", "topic", "id", "re", "error"] {
        assert_eq!(Wire::new("\n", key), Err(WireError::MessageKey));
    }
}

/// Blanking one delimiter can form another with what comes before it, and one may reach from a message into its own
/// delimiter.
#[test]
fn encode_white_space_never_forms_delimiter() {
    for (delimiter, text) in [("\n ", "[\n\n 1]"), ("\n]}\n]}", "[1\n]")] {
        let wire = Wire::new(delimiter, "message").unwrap();
        let bytes = encoded(wire, "raw", &RawValue::from_string(text.to_owned()).unwrap());
        let end = bytes.len() - delimiter.len();
        assert_eq!(super::encode::find(delimiter.as_bytes(), &bytes), Some(end), "{delimiter:?}");
        let envelope = wire.decode(&bytes[..end]).unwrap();
        assert!(envelope.message.to_value().unwrap().is_array());
    }
}

#[test]
fn wire_delimiter_with_backslash_returns_error() {
    assert_eq!(Wire::new("%\\u0025", "message"), Err(WireError::EndInsideMessages));
}

#[test]
fn encode_request_and_reply_write_id_after_message() {
    let encoded = |wire: Wire, kind: EnvelopeKind| {
        let mut buffer = Vec::new();
        wire.encode_within(usize::MAX, &Tail::of(&kind), "add", &[1, 2], &mut buffer).unwrap();
        String::from_utf8(buffer).unwrap()
    };
    assert_eq!(encoded(Wire::JSON_LINES, EnvelopeKind::Message), "{\"topic\":\"add\",\"message\":[1,2]}\n");
    assert_eq!(
        encoded(Wire::JSON_LINES, EnvelopeKind::Request(7.into())),
        "{\"topic\":\"add\",\"message\":[1,2],\"id\":7}\n"
    );
    assert_eq!(
        encoded(Wire::NODE_0_1, EnvelopeKind::Reply(0.into())),
        "{\"topic\":\"add\",\"data\":[1,2],\"re\":0}%<EOM>%\n"
    );
    let longest = encoded(Wire::JSON_LINES, EnvelopeKind::Request(RequestId::from(u64::MAX)));
    assert_eq!(
        Wire::JSON_LINES.decode(longest.trim().as_bytes()).unwrap().kind,
        EnvelopeKind::Request(18_446_744_073_709_551_615_u64.into())
    );
    let limit = longest.len() - 1;
    let within = |limit| {
        Wire::JSON_LINES.encode_within(
            limit,
            &Tail::of(&EnvelopeKind::Request(RequestId::from(u64::MAX))),
            "add",
            &[1, 2],
            &mut Vec::new(),
        )
    };
    assert!(within(limit).is_ok());
    assert!(matches!(within(limit - 1), Err(EncodeError::TooLarge { size, .. }) if size == limit));
}

#[test]
fn decode_keys_in_any_order_returns_kind() {
    let id = |text: &str| RequestId::read(text).unwrap();
    for (kind, tail) in [
        (EnvelopeKind::Request(7.into()), r#""topic":"t","message":1,"id":7"#),
        (EnvelopeKind::Request(7.into()), r#""id": 7 ,"topic":"t","message":1"#),
        (EnvelopeKind::Reply(7.into()), r#""re":7,"message":1,"topic":"t""#),
        (EnvelopeKind::Reply(7.into()), r#""topic":"t","message":1,"id":3,"re":7"#),
        (EnvelopeKind::Request(0.into()), r#""topic":"t","message":1,"id":0"#),
        (EnvelopeKind::Request(id(r#""7""#)), r#""topic":"t","message":1,"id":"7""#),
        (EnvelopeKind::Request(id("7.0")), r#""topic":"t","message":1,"id":7.0"#),
        (EnvelopeKind::Request(id("-7")), r#""topic":"t","message":1,"id": -7 "#),
        (
            EnvelopeKind::Request(id("18446744073709551616")),
            r#""topic":"t","message":1,"id":18446744073709551616"#,
        ),
        (EnvelopeKind::Reply(id("7.0")), r#""id":1,"topic":"t","message":1,"re":7.0"#),
        (EnvelopeKind::Reply(id(r#""\u0061""#)), r#""topic":"t","message":1,"re":"\u0061""#),
        // Invalid ids, which are ignored.
        (EnvelopeKind::Message, r#""topic":"t","message":1,"id":null"#),
        (EnvelopeKind::Message, r#""topic":"t","message":1,"id":7.5"#),
        (EnvelopeKind::Message, r#""topic":"t","message":1,"id":1e999"#),
        (EnvelopeKind::Message, r#""topic":"t","message":{"id":7,"re":7}"#),
        (EnvelopeKind::Message, r#""topic":"t","message":1,"re":{"id":7}"#),
    ] {
        let text = format!("{{{tail}}}");
        assert_eq!(Wire::JSON_LINES.decode(text.as_bytes()).unwrap().kind, kind, "{text}");
        let one_pass = Wire::JSON_LINES.head(&text).and_then(|head| decode_any_kind::<Value>(head.rest));
        assert!(one_pass.is_none_or(|(_, read)| read == kind), "{text} in one pass");
    }
    for text in [r#"{"topic":"t","id":1,"id":2}"#, r#"{"topic":"t","re":1,"message":1,"re":1}"#] {
        let error = Wire::JSON_LINES.decode(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("duplicate field"), "{error}");
    }
}

#[test]
fn decode_error_reply_needs_error_true_and_re() {
    for (is_error, text) in [
        (true, r#"{"topic":"t","message":1,"error":true,"re":7}"#),
        (true, r#"{"re":"7","error": true ,"message":1,"topic":"error"}"#),
        (true, r#"{"topic":"t","message":1,"error":true,"error":true,"re":7}"#),
        (true, r#"{"topic":"t","message":1,"error":true,"error":false,"re":7}"#),
        (false, r#"{"topic":"error","message":1,"re":7}"#),
        (false, r#"{"topic":"t","message":1,"error":false,"re":7}"#),
        (false, r#"{"topic":"t","message":1,"error":"true","re":7}"#),
        (false, r#"{"topic":"t","message":1,"error":{"error":true},"re":7}"#),
        (false, r#"{"topic":"t","message":1,"error":true}"#),
        (false, r#"{"topic":"t","message":1,"error":true,"id":7}"#),
        (false, r#"{"topic":"t","message":1,"error":true,"re":null}"#),
    ] {
        assert_eq!(Wire::JSON_LINES.decode(text.as_bytes()).unwrap().is_error, is_error, "{text}");
        let one_pass = Wire::JSON_LINES.head(text).and_then(|head| decode_any_kind::<Value>(head.rest));
        assert!(one_pass.is_none() || !text.contains("error\":"), "{text} in one pass");
    }
    let kind = EnvelopeKind::Reply(7.into());
    let mut bytes = Vec::new();
    let tail = Tail { kind: &kind, is_error: true };
    Wire::JSON_LINES.encode_within(usize::MAX, &tail, "error", &1, &mut bytes).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        "{\"topic\":\"error\",\"message\":1,\"error\":true,\"re\":7}\n"
    );
    assert_eq!(reply_id_at_end(&bytes[..bytes.len() - 1]), Some(7));
}

#[test]
fn request_id_at_end_reads_every_form() {
    let longest = format!("\"{}\"", "x".repeat(64));
    for id in ["7", "7.0", "-7", r#""7""#, r#""a\",\"id\":7""#, r#""}""#, &longest] {
        let text = format!(r#"{{"topic":"t","message":["\"id\":1"],"id":{id}}}"#);
        let EnvelopeKind::Request(read) = Wire::JSON_LINES.decode(text.as_bytes()).unwrap().kind else {
            panic!("{text}")
        };
        assert_eq!(read.to_string(), id);
        let seen = request_id_at_end(text.as_bytes());
        assert!(seen.is_none_or(|seen| seen == read), "{text}");
        if !id.contains('\\') {
            assert_eq!(request_id_at_end(text.as_bytes()), Some(RequestId::read(id).unwrap()), "{text}");
        }
    }
    for text in [
        r#"{"topic":"t","message":"\",\"id\":7"}"#,
        r#"{"topic":"t","id":7.5}"#,
        r#"{"topic":"t","id":{"id":7}}"#,
    ] {
        assert_eq!(request_id_at_end(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn decode_any_kind_reads_only_usual_form() {
    let one_pass = |tail: &str| decode_any_kind::<u8>(&format!("5{tail}")).map(|(_, kind)| kind);
    assert_eq!(one_pass("}"), Some(EnvelopeKind::Message));
    assert_eq!(one_pass(r#","id":7}"#), Some(EnvelopeKind::Request(7.into())));
    assert_eq!(one_pass(",\"id\":7 } \r"), Some(EnvelopeKind::Request(7.into())));
    for tail in [
        "",
        r#","id":}"#,
        r#","id":07}"#,
        r#","id": 7}"#,
        r#","id":7"#,
        r#","id":7.5}"#,
        r#","id":-7}"#,
        r#","re":7 "#,
    ] {
        assert_eq!(one_pass(tail), None, "{tail}");
    }
    assert_eq!(one_pass(r#","id":18446744073709551616}"#), None);
    assert_eq!(one_pass(r#","re":7}"#), Some(EnvelopeKind::Reply(7.into())));
}

#[test]
fn reply_id_at_end_reads_only_the_end() {
    for kind in [
        EnvelopeKind::Reply(0.into()),
        EnvelopeKind::Reply(7.into()),
        EnvelopeKind::Reply(RequestId::from(u64::MAX)),
        EnvelopeKind::Request(7.into()),
        EnvelopeKind::Message,
    ] {
        for message in
            [serde_json::json!(5), serde_json::json!({"re": 7}), serde_json::json!(",\"re\":7}"), Value::Null]
        {
            let mut bytes = Vec::new();
            Wire::JSON_LINES.encode_within(usize::MAX, &Tail::of(&kind), "t", &message, &mut bytes).unwrap();
            bytes.pop();
            let expected = if let EnvelopeKind::Reply(re) = &kind { re.number() } else { None };
            assert_eq!(reply_id_at_end(&bytes), expected, "{}", String::from_utf8_lossy(&bytes));
        }
    }
    for text in [
        "",
        "}",
        "7}",
        r#""re":7}"#,
        r#","re":}"#,
        r#","re":07}"#,
        r#","re":7 }"#,
        r#","re":7}}"#,
        r#","re":99999999999999999999}"#,
    ] {
        assert_eq!(reply_id_at_end(text.as_bytes()), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// The id read at the end is the one that the full parser reads.
    #[test]
    fn reply_id_at_end_agrees_with_full_parser(
        front in "\\{(\"topic\":\"t\",?|\"message\":[0-9]{1,2},?|\"re\":[0-9],?|\"a\":\\{\"b\":1,?){0,3}",
        tail in "(,?\"re\":[0-9]{1,2}\\}){1,2}",
    ) {
        let text = format!("{front}{tail}");
        if let (Some(re), Ok(envelope)) = (reply_id_at_end(text.as_bytes()), Wire::JSON_LINES.decode(text.as_bytes())) {
            prop_assert_eq!(envelope.kind, EnvelopeKind::Reply(re.into()), "{}", text);
        }
    }
}
