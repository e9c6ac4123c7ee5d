//! What arrives and should not, on a server and on a client alike: one error each with the exact bytes, the
//! connection lives, the next good message is heard, and nobody else notices.

mod attack;

use std::collections::HashMap;

use attack::{Attack, Event, Limits, Side, heard};

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

/// A type whose `Deserialize` looks at nothing.
#[derive(Topic, Debug)]
#[topic = "any"]
struct Blind;

impl<'de> Deserialize<'de> for Blind {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// Nothing of these is an envelope, however well some of them begin.
const NO_ENVELOPES: &[&[u8]] = &[
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
    async fn bytes_that_are_no_envelope_are_reported_one_by_one() {
        for mut attack in Attack::both(Limits::default()).await {
            // Alone, the typed listener is called without a look at the envelope first.
            attack.hear::<Any>();
            for line in NO_ENVELOPES {
                attack.no_envelope(line).await;
            }
            attack.hear_all();
            for line in NO_ENVELOPES {
                attack.no_envelope(line).await;
            }
            let not_utf8 = attack.refused(b"{\"topic\":\"any\",\"message\":\"\xc3\"}").await;
            assert_eq!(not_utf8, MessageErrorKind::Envelope(EnvelopeError::NotUtf8 { valid_len: 26 }));
        }
    }

    async fn no_listener_and_no_wire_takes_for_an_envelope_what_is_none() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear::<Blind>();
            attack.no_envelope("{\"topic\":\"any\",\"message\":}").await;
        }
        let wire = Some(Wire::new("\n", "a\"b").unwrap());
        for mut attack in Attack::both(Limits { wire, ..Limits::default() }).await {
            attack.hear::<Any>();
            attack.hears(r#"{"topic":"any","a\"b":1}"#, "any", "Any(Number(1))").await;
            attack.peer.write("{\"topic\":\"any\",\"a\"b\":1}\n").await;
            let refused = attack.events.next().await;
            assert!(matches!(&refused, Event::Refused(MessageErrorKind::Envelope(_), ..)), "{refused:?}");
        }
    }

    async fn blank_lines_are_no_messages() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.peer.write("\n\r\n  \n\t \r\n\n\n").await;
            attack.lives().await;
            attack.peer.write("\n".repeat(1_000_000)).await;
            attack.lives().await;
            attack.hear::<Any>();
            attack.hears("{\"topic\":\"any\",\"message\":1}\r", "any", "Any(Number(1))").await;
            attack.hears(" \t{ \"topic\" : \"any\" , \"message\" : 2 } ", "any", "Any(Number(2))").await;
        }
    }

    async fn an_empty_topic_is_none() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear_all();
            attack.hears("{\"topic\":\"\",\"message\":1}", "none", "1").await;
            attack.hears("{\"topic\":\"none\",\"message\":2}", "none", "2").await;
            match &attack.side {
                Side::Server(server) => {
                    server.send_raw("", &3, server.clients()[0]).unwrap();
                    server.broadcast_raw("", &4).unwrap();
                }
                Side::Client(client) => {
                    client.send_raw("", &3).unwrap();
                    client.send_raw("none", &4).unwrap();
                }
            }
            assert_eq!(attack.peer.line().await, r#"{"topic":"none","message":3}"#);
            assert_eq!(attack.peer.line().await, r#"{"topic":"none","message":4}"#);
        }
    }

    async fn what_is_unusual_and_allowed_is_heard() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear::<Any>();
            attack.hear::<Map>();
            attack.hear::<Hi>();
            // I7
            attack.hears(r#"{"topic":"any"}"#, "any", "Any(Null)").await;
            attack.hears(r#"{"id":7,"message":1,"topic":"any","x":[{}]}"#, "any", "Any(Number(1))").await;
            // I13
            attack.hears(r#"{"topic":"any","message":"\u0000"}"#, "any", r#"Any(String("\0"))"#).await;
            // I14
            attack.hears(r#"{"topic":"\u0068i","message":1}"#, "hi", "Hi(Number(1))").await;
            attack.hears(r#"{"t\u006fpic":"hi","message":2}"#, "hi", "Hi(Number(2))").await;
            // I24
            attack.hears(r#"{"topic":"map","message":{"__proto__":1}}"#, "map", r#"Map({"__proto__": 1})"#).await;
            attack.hears(r#"{"topic":"map","message":{"constructor":2}}"#, "map", r#"Map({"constructor": 2})"#).await;
            attack.hear_all();
            for topic in ["a/b", "\0", "__proto__", "constructor", "error", "$x"] {
                let line = format!("{{\"topic\":{},\"message\":1}}", serde_json::to_string(topic).unwrap());
                attack.hears(line, topic, "1").await;
            }
            attack.hears(r#"{"topic":"a\/b","message":1}"#, "a/b", "1").await;
        }
    }

    async fn a_character_split_at_every_byte_arrives_whole() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear::<Text>();
            for byte in "{\"topic\":\"text\",\"message\":\"ü€👋\"}\n".bytes() {
                attack.peer.write([byte]).await;
                // Lets the peer read this byte alone.
                tokio::task::yield_now().await;
            }
            assert_eq!(attack.events.next().await, heard("text", r#"Text("ü€👋")"#));
        }
    }

    async fn what_only_a_decoder_can_find_is_found_by_it_and_passes_as_text() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear::<Any>();
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            let too_deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
            // I11, I12, I15
            let undecodable = [r#""\ud800""#, "1e999", &"9".repeat(400), &too_deep, &deep];
            for message in undecodable {
                let line = format!("{{\"topic\":\"any\",\"message\":{message}}}");
                attack.undecodable(line).await;
                let line = format!("{{\"message\":{message},\"topic\":\"any\"}}");
                attack.undecodable(line).await;
                // Nobody listens for it.
                attack.peer.write(format!("{{\"topic\":\"nobody\",\"message\":{message}}}\n")).await;
                attack.lives().await;
            }
            let fits = format!("{}{}", "[".repeat(126), "]".repeat(126));
            attack.peer.write(format!("{{\"topic\":\"any\",\"message\":{fits}}}\n")).await;
            assert!(matches!(attack.events.next().await, Event::Heard(..)));
            attack.hear_all();
            for message in undecodable {
                attack.hears(format!("{{\"topic\":\"raw\",\"message\":{message}}}"), "raw", message).await;
                attack.peer.write(format!("{{\"topic\":\"any\",\"message\":{message}}}\n")).await;
                assert_eq!(attack.events.next().await, heard("any", message));
                assert!(matches!(attack.events.next().await, Event::Refused(MessageErrorKind::Decode { .. }, ..)));
            }
        }
    }

    async fn a_number_is_exact_or_an_error() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.hear::<Number>();
            attack.hear::<Signed>();
            for number in ["18446744073709551615", "9007199254740993", "0"] {
                attack.hears(format!("{{\"topic\":\"number\",\"message\":{number}}}"), "number", &format!("Number({number})")).await;
            }
            attack.hears(r#"{"topic":"signed","message":-9223372036854775808}"#, "signed", "Signed(-9223372036854775808)").await;
            for number in ["18446744073709551616", "-1", "1.5", "1e3", "1e999", &"1".repeat(400)] {
                attack.undecodable(format!("{{\"topic\":\"number\",\"message\":{number}}}")).await;
            }
            attack.undecodable(r#"{"topic":"signed","message":9223372036854775808}"#).await;
        }
    }

    async fn a_stream_cut_anywhere_gives_the_same_events() {
        const STREAM: &str = "{\"topic\":\"good\",\"message\":\"ü\"}\nbad\n{\"message\":2,\"topic\":\"good\"}\r\n";
        let [mut server, mut client] = Attack::both(Limits::default()).await;
        let expected = {
            server.peer.write(STREAM).await;
            server.events.take(3).await
        };
        assert!(matches!(&expected[1], Event::Refused(_, raw, 3) if raw == b"bad"));
        let mut runner = TestRunner::deterministic();
        let cuts = proptest::collection::vec(0..=STREAM.len(), 0..4);
        let drawn = std::iter::repeat_with(|| cuts.new_tree(&mut runner).unwrap().current()).take(60).collect::<Vec<_>>();
        for attack in [&mut server, &mut client] {
            for mut cuts in (0..=STREAM.len()).map(|at| vec![at]).chain(drawn.iter().cloned()) {
                cuts.extend([0, STREAM.len()]);
                cuts.sort_unstable();
                for part in cuts.windows(2) {
                    attack.peer.write(&STREAM.as_bytes()[part[0]..part[1]]).await;
                    tokio::task::yield_now().await;
                }
                assert_eq!(attack.events.take(3).await, expected, "cut at {cuts:?}");
            }
        }
    }

    async fn a_browser_hears_nothing_and_breaks_nothing() {
        for mut attack in Attack::both(Limits::default()).await {
            attack.peer.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n").await;
            for line in ["POST / HTTP/1.1\r", "Host: localhost\r", "Content-Length: 2\r"] {
                assert!(matches!(attack.events.next().await, Event::Refused(_, raw, _) if raw == line.as_bytes()));
            }
            attack.lives().await;
        }
    }
}
