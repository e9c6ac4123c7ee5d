//! From the bytes of an envelope to its topic, message and kind.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

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
    let (re, mut bytes) = (RequestId::from(7), Vec::new());
    let tail = Tail::Reply { re: Some(&re), is_error: true };
    Wire::JSON_LINES.encode_within(usize::MAX, tail, "error", &1, &mut bytes).unwrap();
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
            Wire::JSON_LINES.encode_within(usize::MAX, tail_of(&kind), "t", &message, &mut bytes).unwrap();
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

#[test]
fn error_place_reason_has_no_place() {
    let text = "{\"x\":\n true}";
    let error = serde_json::from_str::<std::collections::HashMap<String, u8>>(text).unwrap_err();
    let (line, column, reason) = error_place(&error);
    assert_eq!((line, column), (2, 5), "{reason}");
    assert!(!reason.contains("line"), "{reason}");
}
