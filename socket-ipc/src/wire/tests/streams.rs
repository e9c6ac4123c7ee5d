//! The lines of streams: requests with a window, starts and items, in any form.

use super::*;

/// What the full parser reads of a stream, and what is seen in one pass and at the end.
fn part_of(text: &str) -> StreamPart<'_> {
    Wire::JSON_LINES.decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).stream
}

#[test]
fn decode_window_is_read_beside_id_only() {
    for (part, text) in [
        (StreamPart::Request(Window::Bytes(262_144)), r#"{"topic":"t","message":1,"window":262144,"id":8}"#),
        (StreamPart::Request(Window::Bytes(0)), r#"{"window": 0 ,"id":"a","topic":"t"}"#),
        (StreamPart::Request(Window::Bytes(7)), r#"{"id":8,"window":7.0,"topic":"t","message":1}"#),
        (StreamPart::Request(Window::Unlimited), r#"{"topic":"t","id":8,"window":null}"#),
        (StreamPart::Request(Window::Bytes(1)), r#"{"topic":"t","window":"x","id":8,"window":1}"#),
        (StreamPart::OddWindow("-1"), r#"{"topic":"t","window":-1,"id":8}"#),
        (StreamPart::OddWindow(r#"{"a":[]}"#), r#"{"topic":"t","window": {"a":[]} ,"id":8}"#),
        (StreamPart::None, r#"{"topic":"t","window":8}"#),
        (StreamPart::None, r#"{"topic":"t","window":8,"id":7.5}"#),
        (StreamPart::None, r#"{"topic":"t","window":8,"id":null}"#),
        (StreamPart::None, r#"{"topic":"t","window":8,"re":7}"#),
        (StreamPart::None, r#"{"topic":"t","window":8,"id":7,"re":7}"#),
        (StreamPart::None, r#"{"topic":"t","message":{"window":8},"id":7}"#),
        (StreamPart::None, r#"{"topic":"t","more":true,"started":true,"id":7}"#),
    ] {
        assert_eq!(part_of(text), part, "{text}");
    }
}

#[test]
fn decode_started_and_more_are_read_beside_re_only() {
    for (part, text) in [
        (StreamPart::Started, r#"{"topic":"t","started":true,"re":8}"#),
        (StreamPart::Started, r#"{"re":"a","started": true ,"message":7,"topic":"t"}"#),
        (StreamPart::Item, r#"{"topic":"t","message":1,"more":true,"re":8}"#),
        (StreamPart::Item, r#"{"more":true,"topic":"t","id":3,"re":8.0}"#),
        (StreamPart::None, r#"{"topic":"t","message":null,"re":8}"#),
        (StreamPart::None, r#"{"topic":"t","message":1,"more":false,"started":null,"re":8}"#),
        (StreamPart::None, r#"{"topic":"t","message":1,"more":"true","started":1,"re":8}"#),
        (StreamPart::None, r#"{"topic":"t","message":{"more":true},"re":8}"#),
        (StreamPart::None, r#"{"topic":"t","message":1,"more":true,"started":true}"#),
        (StreamPart::None, r#"{"topic":"t","message":1,"more":true,"re":null}"#),
        (StreamPart::None, r#"{"topic":"t","message":1,"more":true,"re":[8]}"#),
        // Of several the last that is `true` counts.
        (StreamPart::Item, r#"{"topic":"t","error":true,"started":true,"more":true,"re":8}"#),
        (StreamPart::Started, r#"{"topic":"t","more":true,"error":true,"started":true,"re":8}"#),
        (StreamPart::None, r#"{"topic":"t","started":true,"more":true,"error":true,"re":8}"#),
        (StreamPart::Item, r#"{"topic":"t","more":true,"error":false,"re":8,"more":false}"#),
    ] {
        assert_eq!(part_of(text), part, "{text}");
        let is_error = Wire::JSON_LINES.decode(text.as_bytes()).unwrap().is_error;
        assert_eq!(is_error, text.ends_with(r#""error":true,"re":8}"#), "{text}");
    }
}

/// The members of an envelope of a stream, and what it is.
fn members() -> impl Strategy<Value = (Vec<&'static str>, StreamPart<'static>)> {
    let (topic, message) = (r#""topic":"t""#, r#""message":[{"more":true}]"#);
    let others = [r#""trace":{"window":1}"#, r#""other":"\",\"re\":7}""#];
    let some = |members: &[&'static str], part| {
        let members: Vec<_> = [&[topic, message], members, &others].concat();
        (Just(members).prop_shuffle(), Just(part))
    };
    prop_oneof![
        some(&[r#""window":64"#, r#""id":7"#], StreamPart::Request(Window::Bytes(64))),
        some(&[r#""window":null"#, r#""id":"x""#], StreamPart::Request(Window::Unlimited)),
        some(&[r#""window":0.5"#, r#""id":7"#], StreamPart::OddWindow("0.5")),
        some(&[r#""started":true"#, r#""re":7"#], StreamPart::Started),
        some(&[r#""more":true"#, r#""re":7"#], StreamPart::Item),
        some(&[r#""more":true"#, r#""window":9"#], StreamPart::None),
        some(&[r#""re":7"#], StreamPart::None),
    ]
}

fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![Just(Window::Unlimited), any::<u64>().prop_map(Window::Bytes)]
}

fn ids() -> impl Strategy<Value = RequestId> {
    const TEXTS: &[&str] = &["7.0", "-7", r#""7""#, r#""a%EOM%""#, r#""\u0025%""#];
    prop_oneof![
        any::<u64>().prop_map(RequestId::from),
        proptest::sample::select(TEXTS).prop_map(|text| RequestId::read(text).unwrap()),
    ]
}

/// The line without its delimiter, which it holds nowhere else.
fn undelimited(wire: Wire, mut line: Vec<u8>) -> Vec<u8> {
    let end = line.len() - wire.delimiter.len();
    assert_eq!(crate::wire::encode::find(wire.delimiter.as_bytes(), &line), Some(end));
    line.truncate(end);
    line
}

/// Whether two ids are the same, of which one may be written with escapes.
fn is_same(one: &RequestId, other: &RequestId) -> bool {
    let value = |id: &RequestId| serde_json::from_str::<Value>(&id.to_string()).unwrap();
    value(one) == value(other)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn decode_stream_keys_in_any_order_are_read((members, part) in members()) {
        let text = format!("{{{}}}", members.join(","));
        prop_assert_eq!(part_of(&text), part, "{}", text);
    }

    #[test]
    fn decode_item_agrees_with_full_parser(
        message in message(), tail in "[ \r]{0,1}(,\"more\":true)?(,\"(re|id)\":(0|7|07|7\\.0|\"7\"))?(,\"error\":true)?[ \r]{0,1}\\}?",
    ) {
        let text = format!("{{\"topic\":\"t\",\"message\":{message}{tail}");
        let full = Wire::JSON_LINES.decode(text.as_bytes());
        let one_pass = decode_item::<Value>(Wire::JSON_LINES.head(&text).unwrap().rest);
        if let Some(item) = one_pass {
            let full = full.unwrap();
            prop_assert_eq!((full.stream, full.message.to_value().unwrap()), (StreamPart::Item, item), "{}", text);
        } else if let Ok(full) = full {
            // The form in which this library writes it always suffices.
            prop_assert!(full.stream != StreamPart::Item || !tail.starts_with(",\"more\":true,\"re\":7}"), "{}", text);
        }
    }

    /// What is seen at the end of a reply is what the full parser reads.
    #[test]
    fn reply_at_end_agrees_with_full_parser(
        front in "\\{\"topic\":\"t\"(,\"(more|started|error)\":(true|false)|,\"message\":\"[,\\\\\\\\]{0,2}\"|,\"a\":\\{\"b\":1|,\"a\":\\[1){0,3}",
        tail in "(\\}|\\]|,)?(,\"(more|started|error)\":(true|false|7)){0,2},\"re\":[0-9]{1,2}\\}",
    ) {
        let text = format!("{front}{tail}");
        if let Ok(envelope) = Wire::JSON_LINES.decode(text.as_bytes()) {
            // A number with a zero in front is no id, and no JSON.
            let (_, seen) = reply_at_end(text.as_bytes()).unwrap();
            // Keys that are not at the end are left to the full parser.
            prop_assert!(seen == envelope.stream || seen == StreamPart::None, "{}", text);
        }
    }

    #[test]
    fn complete_stream_request_on_every_wire_reads_back(
        wire in wires(), topic in text(), message in message(), window in windows(), id in ids(),
    ) {
        let mut line = encoded(wire, &topic, &message);
        wire.complete_stream_request(window, None, &id, &mut line);
        let line = undelimited(wire, line);
        let envelope = wire.decode(&line).unwrap();
        prop_assert_eq!(envelope.topic.as_ref(), topic_or_none(&topic));
        prop_assert_eq!(envelope.message.to_value().unwrap(), message);
        prop_assert_eq!(envelope.stream, StreamPart::Request(window));
        let EnvelopeKind::Request(read) = envelope.kind else { panic!("no request") };
        prop_assert!(is_same(&read, &id));
        prop_assert_eq!(request_id_at_end(&line), Some(read));
    }

    #[test]
    fn start_and_item_on_every_wire_read_back(
        wire in wires(), topic in text(), message in message(), id in ids(),
    ) {
        let (mut start, mut item) = (Vec::new(), Vec::new());
        wire.encode_started(&topic, &id, &mut start);
        wire.encode_within(usize::MAX, Tail::Item(&id), &topic, &message, &mut item).unwrap();
        for (line, part) in [(start, StreamPart::Started), (item, StreamPart::Item)] {
            let line = undelimited(wire, line);
            let envelope = wire.decode(&line).unwrap();
            prop_assert_eq!((envelope.topic.as_ref(), envelope.stream), (topic_or_none(&topic), part));
            let EnvelopeKind::Reply(re) = &envelope.kind else { panic!("no reply") };
            prop_assert!(is_same(re, &id));
            if let Ok(number) = id.text() {
                prop_assert_eq!((reply_id_at_end(&line), reply_at_end(&line)), (Some(number), Some((number, part))));
            }
            if part == StreamPart::Item {
                prop_assert_eq!(envelope.message.to_value().unwrap(), message.clone());
            }
        }
    }
}

/// A delimiter may begin in the message and end in what follows it.
#[test]
fn complete_stream_request_never_holds_delimiter() {
    for delimiter in ["%\",\"window", "%\",\"window\":6", "%\"}"] {
        let wire = Wire::new(delimiter, "message").unwrap();
        let mut line = encoded(wire, "t", &"a%");
        wire.complete_stream_request(Window::Bytes(64), None, &7.into(), &mut line);
        let line = undelimited(wire, line);
        let envelope = wire.decode(&line).unwrap();
        assert_eq!(
            (envelope.message.to_value().unwrap(), envelope.stream),
            ("a%".into(), StreamPart::Request(Window::Bytes(64)))
        );
    }
}
