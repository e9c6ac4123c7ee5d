//! Invalid input, on a server and on a client: each is one message error with the exact bytes, the connection stays
//! open, the next good message is dispatched, and no other client notices.

mod attack;

use std::collections::HashMap;

use attack::{Attack, Endpoint, Event, Limits, received};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use serde_json::Value;
use socket_ipc::{EnvelopeError, MessageErrorKind, Topic, Wire};

#[derive(Topic, Deserialize, Debug)]
#[topic = "any"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Any(Value);

#[derive(Topic, Deserialize, Debug)]
#[topic = "text"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Text(String);

#[derive(Topic, Deserialize, Debug)]
#[topic = "number"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Number(u64);

#[derive(Topic, Deserialize, Debug)]
#[topic = "signed"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Signed(i64);

#[derive(Topic, Deserialize, Debug)]
#[topic = "map"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Map(HashMap<String, u8>);

#[derive(Topic, Deserialize, Debug)]
#[topic = "hi"]
#[allow(dead_code, reason = "shown by `Debug`")]
struct Hi(Value);

/// A type whose `Deserialize` reads nothing.
#[derive(Topic, Debug)]
#[topic = "any"]
struct Blind;

impl<'de> Deserialize<'de> for Blind {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// None of these is an envelope, even where the start looks like one.
const NOT_ENVELOPES: &[&[u8]] = &[
    // I1
    b"garbage",
    b"{\"topic\":\"any\",\"message\":}",
    b"{\"topic\":\"any\",\"message\":1",
    b"{\"topic\":\"any\",\"message\":1,}",
    b"{\"topic\":\"any\",\"message\":01}",
    b"{\"topic\":\"any\",\"message\":nul}",
    b"{\"topic\":\"any\",\"message\":\"\x01\"}",
    b"{\"topic\":\"any\" \"message\":1}",
    b"{'topic':'any'}",
    // I3
    b"\xef\xbb\xbf{\"topic\":\"any\",\"message\":1}",
    b"\0{\"topic\":\"any\",\"message\":1}",
    b"{\"topic\":\"any\",\"message\":1}\0",
    b"{\"topic\":\"any\",\"message\":1}x",
    b"{\"topic\":\"any\",\"message\":1}}",
    b"{\"topic\":\"any\",\"message\":1}{\"topic\":\"any\",\"message\":2}",
    b"\x0b",
    // I4
    b"null",
    b"42",
    b"\"x\"",
    b"[]",
    b"[\"any\",1]",
    b"true",
    // I5
    b"{}",
    b"{\"message\":1}",
    b"{\"topic\":5,\"message\":1}",
    b"{\"topic\":{},\"message\":1}",
    b"{\"topic\":[\"any\"],\"message\":1}",
    b"{\"topic\":null,\"message\":1}",
    // I8
    b"{\"topic\":\"any\",\"topic\":\"any\",\"message\":1}",
    b"{\"topic\":\"any\",\"message\":1,\"topic\":\"any\"}",
    b"{\"topic\":\"any\",\"message\":1,\"message\":2}",
    // I9
    b"{\"topic\":\"an\xff\",\"message\":1}",
    b"{\"topic\":\"any\",\"message\":\"\xc3\"}",
    b"{\"topic\":\"any\",\"message\":{\"\xed\xa0\x80\":1}}",
    b"{\"topic\":\"any\",\"message\":1,\"\xfe\":1}",
    b"{\"topic\":\"any\",\"message\":1,\"unknown\":\"\x80\"}",
    // I11: in a topic
    b"{\"topic\":\"\\ud800\",\"message\":1}",
];

support::both_flavours! {
    async fn message_error_bytes_without_envelope_are_reported_each() {
        for mut attack in Attack::both(Limits::default()).await {
            // With only a typed listener the envelope is not checked first.
            attack.listen_for::<Any>();
            for line in NOT_ENVELOPES {
                attack.envelope_error(line).await;
            }
            attack.listen_for_all();
            for line in NOT_ENVELOPES {
                attack.envelope_error(line).await;
            }
            let not_utf8 = attack.rejected(b"{\"topic\":\"any\",\"message\":\"\xc3\"}").await;
            assert_eq!(not_utf8, MessageErrorKind::Envelope(EnvelopeError::NotUtf8 { valid_len: 26 }));
        }
    }

    async fn envelope_malformed_any_listener_or_wire_reports_error() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for::<Blind>();
            attack.envelope_error("{\"topic\":\"any\",\"message\":}").await;
        }
        let wire = Some(Wire::new("\n", "a\"b").unwrap());
        for mut attack in Attack::both(Limits { wire, ..Limits::default() }).await {
            attack.listen_for::<Any>();
            attack.receives(r#"{"topic":"any","a\"b":1}"#, "any", "Any(Number(1))").await;
            attack.peer.write("{\"topic\":\"any\",\"a\"b\":1}\n").await;
            let rejected = attack.events.next().await;
            assert!(matches!(&rejected, Event::Error(MessageErrorKind::Envelope(_), ..)), "{rejected:?}");
        }
    }

    async fn wire_blank_lines_are_ignored() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.peer.write("\n\r\n  \n\t \r\n\n\n").await;
            attack.lives().await;
            attack.peer.write("\n".repeat(1_000_000)).await;
            attack.lives().await;
            attack.listen_for::<Any>();
            attack.receives("{\"topic\":\"any\",\"message\":1}\r", "any", "Any(Number(1))").await;
            attack.receives(" \t{ \"topic\" : \"any\" , \"message\" : 2 } ", "any", "Any(Number(2))").await;
        }
    }

    async fn topic_empty_is_received_as_none() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for_all();
            attack.receives("{\"topic\":\"\",\"message\":1}", "none", "1").await;
            attack.receives("{\"topic\":\"none\",\"message\":2}", "none", "2").await;
            match &attack.endpoint {
                Endpoint::Server(server) => {
                    server.send_raw("", &3, server.clients()[0]).unwrap();
                    server.broadcast_raw("", &4).unwrap();
                }
                Endpoint::Client(client) => {
                    client.send_raw("", &3).unwrap();
                    client.send_raw("none", &4).unwrap();
                }
            }
            assert_eq!(attack.peer.line().await, r#"{"topic":"none","message":3}"#);
            assert_eq!(attack.peer.line().await, r#"{"topic":"none","message":4}"#);
        }
    }

    async fn envelope_unusual_but_valid_is_dispatched() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for::<Any>();
            attack.listen_for::<Map>();
            attack.listen_for::<Hi>();
            // I7
            attack.receives(r#"{"topic":"any"}"#, "any", "Any(Null)").await;
            attack.receives(r#"{"id":7,"message":1,"topic":"any","x":[{}]}"#, "any", "Any(Number(1))").await;
            // I13
            attack.receives(r#"{"topic":"any","message":"\u0000"}"#, "any", r#"Any(String("\0"))"#).await;
            // I14
            attack.receives(r#"{"topic":"\u0068i","message":1}"#, "hi", "Hi(Number(1))").await;
            attack.receives(r#"{"t\u006fpic":"hi","message":2}"#, "hi", "Hi(Number(2))").await;
            // I24
            attack.receives(r#"{"topic":"map","message":{"__proto__":1}}"#, "map", r#"Map({"__proto__": 1})"#).await;
            attack.receives(r#"{"topic":"map","message":{"constructor":2}}"#, "map", r#"Map({"constructor": 2})"#).await;
            attack.listen_for_all();
            for topic in ["a/b", "\0", "__proto__", "constructor", "error", "$x"] {
                let line = format!("{{\"topic\":{},\"message\":1}}", serde_json::to_string(topic).unwrap());
                attack.receives(line, topic, "1").await;
            }
            attack.receives(r#"{"topic":"a\/b","message":1}"#, "a/b", "1").await;
        }
    }

    async fn message_split_at_every_byte_arrives_whole() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for::<Text>();
            for byte in "{\"topic\":\"text\",\"message\":\"ü€👋\"}\n".bytes() {
                attack.peer.write([byte]).await;
                // Lets the peer read this byte alone.
                tokio::task::yield_now().await;
            }
            assert_eq!(attack.events.next().await, received("text", r#"Text("ü€👋")"#));
        }
    }

    async fn message_undecodable_fails_typed_and_passes_raw() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for::<Any>();
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            let too_deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
            // I11, I12, I15
            let invalid = [r#""\ud800""#, "1e999", &"9".repeat(400), &too_deep, &deep];
            for message in invalid {
                let line = format!("{{\"topic\":\"any\",\"message\":{message}}}");
                attack.decode_error(line).await;
                let line = format!("{{\"message\":{message},\"topic\":\"any\"}}");
                attack.decode_error(line).await;
                // A topic without a listener.
                attack.peer.write(format!("{{\"topic\":\"unlistened\",\"message\":{message}}}\n")).await;
                attack.lives().await;
            }
            let fits = format!("{}{}", "[".repeat(126), "]".repeat(126));
            attack.peer.write(format!("{{\"topic\":\"any\",\"message\":{fits}}}\n")).await;
            assert!(matches!(attack.events.next().await, Event::Received(..)));
            attack.listen_for_all();
            for message in invalid {
                attack.receives(format!("{{\"topic\":\"raw\",\"message\":{message}}}"), "raw", message).await;
                attack.peer.write(format!("{{\"topic\":\"any\",\"message\":{message}}}\n")).await;
                assert_eq!(attack.events.next().await, received("any", message));
                assert!(matches!(attack.events.next().await, Event::Error(MessageErrorKind::Decode { .. }, ..)));
            }
        }
    }

    async fn number_out_of_range_returns_decode_error() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.listen_for::<Number>();
            attack.listen_for::<Signed>();
            for number in ["18446744073709551615", "9007199254740993", "0"] {
                attack.receives(format!("{{\"topic\":\"number\",\"message\":{number}}}"), "number", &format!("Number({number})")).await;
            }
            attack.receives(r#"{"topic":"signed","message":-9223372036854775808}"#, "signed", "Signed(-9223372036854775808)").await;
            for number in ["18446744073709551616", "-1", "1.5", "1e3", "1e999", &"1".repeat(400)] {
                attack.decode_error(format!("{{\"topic\":\"number\",\"message\":{number}}}")).await;
            }
            attack.decode_error(r#"{"topic":"signed","message":9223372036854775808}"#).await;
        }
    }

    async fn stream_split_anywhere_gives_the_same_events() {
        const STREAM: &str = "{\"topic\":\"good\",\"message\":\"ü\"}\nbad\n{\"message\":2,\"topic\":\"good\"}\r\n";
        let [mut server, mut client] = Attack::both(Limits::default()).await;
        let expected = {
            server.peer.write(STREAM).await;
            server.events.take(3).await
        };
        assert!(matches!(&expected[1], Event::Error(_, raw, 3) if raw == b"bad"));
        let mut runner = TestRunner::deterministic();
        let splits = proptest::collection::vec(0..=STREAM.len(), 0..4);
        let drawn = std::iter::repeat_with(|| splits.new_tree(&mut runner).unwrap().current()).take(60).collect::<Vec<_>>();
        for attack in [&mut server, &mut client] {
            for mut splits in (0..=STREAM.len()).map(|at| vec![at]).chain(drawn.iter().cloned()) {
                splits.extend([0, STREAM.len()]);
                splits.sort_unstable();
                for part in splits.windows(2) {
                    attack.peer.write(&STREAM.as_bytes()[part[0]..part[1]]).await;
                    tokio::task::yield_now().await;
                }
                assert_eq!(attack.events.take(3).await, expected, "split at {splits:?}");
            }
        }
    }

    async fn http_request_is_reported_line_by_line() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.peer.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n").await;
            for line in ["POST / HTTP/1.1\r", "Host: localhost\r", "Content-Length: 2\r"] {
                assert!(matches!(attack.events.next().await, Event::Error(_, raw, _) if raw == line.as_bytes()));
            }
            attack.lives().await;
        }
    }
}
