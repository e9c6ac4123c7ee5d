//! From a message to the bytes of an envelope.

use super::*;

#[test]
fn encode_escape_beyond_limit_returns_error() {
    let plain = encoded(Wire::NODE_0_4, "t", &"%EOM%").len() - 2;
    assert!(Wire::NODE_0_4.encode_within(plain, Tail::Message, "t", &"%EOM%", &mut Vec::new()).is_ok());
    assert!(Wire::NODE_0_2.encode_within(plain, Tail::Message, "t", &"%EOM%", &mut Vec::new()).is_err());
    let escaped = encoded(Wire::NODE_0_2, "t", &"%EOM%").len() - 5;
    assert!(
        Wire::NODE_0_2.encode_within(escaped, Tail::Message, "t", &"%EOM%", &mut b"before".to_vec()).is_ok()
    );
}

#[test]
fn count_delimiters_counts_each_once() {
    for (count, bytes) in [(0, ""), (0, "%EOM"), (1, "{}%EOM%"), (2, "%EOM%%EOM%"), (2, "%EOM%{}%EOM%{")] {
        assert_eq!(count_delimiters(Wire::NODE_0_2, bytes.as_bytes()), count, "{bytes:?}");
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
fn encode_message_over_limit_is_not_stored() {
    let message = "x".repeat(1_000_000);
    let mut buffer = Vec::new();
    let error = Wire::JSON_LINES.encode_within(100, Tail::Message, "t", &message, &mut buffer).unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge { size: 1_000_026, limit: 100 }), "{error:?}");
    assert!(buffer.capacity() < 1_000);
}

#[test]
fn encode_any_smaller_limit_returns_whole_size() {
    let message = serde_json::json!([{"key": "value", "in \"quotes\"": 1.5}, "x".repeat(40), [true, null]]);
    let re = RequestId::from(7);
    let tail = Tail::Reply { re: Some(&re), is_error: true };
    let encode =
        |limit, buffer: &mut Vec<u8>| Wire::JSON_LINES.encode_within(limit, tail, "topic", &message, buffer);
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
fn encode_many_delimiters_takes_linear_time() {
    // Quadratic work would take minutes here.
    let text = "%EOM%".repeat(400_000);
    let bytes = encoded(Wire::NODE_0_2, "t", &text);
    assert_eq!(count_delimiters(Wire::NODE_0_2, &bytes), 1);
}

/// Blanking one delimiter can form another with what comes before it, and one may reach from a message into its own
/// delimiter.
#[test]
fn encode_white_space_never_forms_delimiter() {
    for (delimiter, text) in [("\n ", "[\n\n 1]"), ("\n]}\n]}", "[1\n]")] {
        let wire = Wire::new(delimiter, "message").unwrap();
        let bytes = encoded(wire, "raw", &RawValue::from_string(text.to_owned()).unwrap());
        let end = bytes.len() - delimiter.len();
        assert_eq!(crate::wire::encode::find(delimiter.as_bytes(), &bytes), Some(end), "{delimiter:?}");
        let envelope = wire.decode(&bytes[..end]).unwrap();
        assert!(envelope.message.to_value().unwrap().is_array());
    }
}

#[test]
fn encode_request_and_reply_write_id_after_message() {
    let encoded = |wire: Wire, kind: EnvelopeKind| {
        let mut buffer = Vec::new();
        wire.encode_within(usize::MAX, tail_of(&kind), "add", &[1, 2], &mut buffer).unwrap();
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
            Tail::Request { id: &RequestId::from(u64::MAX), trace: None },
            "add",
            &[1, 2],
            &mut Vec::new(),
        )
    };
    assert!(within(limit).is_ok());
    assert!(matches!(within(limit - 1), Err(EncodeError::TooLarge { size, .. }) if size == limit));
}

#[test]
fn encode_line_end_at_any_place_is_escaped() {
    fn line(wire: Wire, tail: Tail<'_>, topic: &str, message: &(impl serde::Serialize + ?Sized)) -> String {
        let mut bytes = Vec::new();
        wire.encode_within(usize::MAX, tail, topic, message, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }
    let text = "a\u{2028}b";
    let id = RequestId::read("\"a\u{2028}b\"").unwrap();
    let raw = RawValue::from_string(format!("\"{text}\"")).unwrap();
    let keys = std::collections::BTreeMap::from([(text, 1)]);
    let json_lines = Wire::JSON_LINES;
    for line in [
        line(json_lines, Tail::Message, text, &1),
        line(json_lines, Tail::Request { id: &id, trace: None }, "t", &1),
        line(Wire::new("\n", text).unwrap(), Tail::Message, "t", &1),
        line(json_lines, Tail::Message, "t", &raw),
        line(json_lines, Tail::Message, "t", &keys),
        line(json_lines, Tail::Message, "t", &format_args!("{text}")),
        line(json_lines, Tail::Message, "t", &text.repeat(20)),
    ] {
        assert!(line.is_ascii() && line.contains("a\\u2028b"), "{line}");
    }
}
