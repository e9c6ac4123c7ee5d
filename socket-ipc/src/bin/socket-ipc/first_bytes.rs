//! What the first bytes of a server say: whether it speaks the wire of this command, or which other protocol.

use socket_ipc::Wire;

use crate::arguments::wires;
use crate::json::shortened;

/// How much is looked at. A first message that is longer may be of any wire.
const LOOKED_AT: usize = 64 * 1024;

/// How many bytes it takes to tell a protocol by its name.
const NAMED_BY: usize = 9;

/// What the bytes so far say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More bytes have to come.
    Unsure,
    Own,
    /// It is another one. The text says which, and what to do.
    Other(String),
}

/// How servers begin that are no server of this library.
const BEGINNINGS: [(&[u8], &str); 10] = [
    (b"HTTP/", "HTTP"),
    (b"SSH-", "SSH"),
    (b"-ERR ", "the protocol of Redis"),
    (b"+OK\r\n", "the protocol of Redis"),
    (b"-NOAUTH ", "the protocol of Redis"),
    (b"INFO {", "NATS: say --nats in place of the path"),
    (b"REJECTED", "D-Bus"),
    (b"ERROR \"", "D-Bus"),
    (b"\x15\x03", "TLS"),
    (b"\x16\x03", "TLS"),
];

/// Judges the bytes that a server has sent so far. `is_end` says that no more will come.
pub(crate) fn judge(wire: Wire, bytes: &[u8], is_end: bool) -> Verdict {
    let bytes = bytes.trim_ascii_start();
    match bytes.first() {
        None => Verdict::Unsure,
        Some(b'{') => of_json(wire, bytes, is_end),
        Some(_) if bytes.len() < NAMED_BY && !bytes.contains(&b'\n') && !is_end => Verdict::Unsure,
        Some(_) => Verdict::Other(named(bytes).unwrap_or_else(|| no_envelope(bytes))),
    }
}

fn named(bytes: &[u8]) -> Option<String> {
    // Its frames begin with their length and their kind: settings, of connection 0.
    let is_http_2 = bytes.len() >= NAMED_BY && bytes[0] == 0 && bytes[3..9] == [4, 0, 0, 0, 0, 0];
    if is_http_2 {
        return Some("it speaks HTTP/2, as gRPC does".to_owned());
    }
    // An error of PostgreSQL has its length behind its first byte.
    if bytes[0] == b'E' && bytes.get(5..).is_some_and(|error| error.starts_with(b"SFATAL")) {
        return Some("it speaks the protocol of PostgreSQL".to_owned());
    }
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    known.map(|(_, name)| format!("it speaks {name}"))
}

/// The server sends objects, as each of the wires does.
fn of_json(wire: Wire, bytes: &[u8], is_end: bool) -> Verdict {
    let message = |wire: Wire| {
        let delimiter = wire.delimiter().as_bytes();
        bytes.windows(delimiter.len()).position(|window| window == delimiter).map(|end| &bytes[..end])
    };
    let own = message(wire);
    if own.is_some_and(|message| wire.decode(message).is_ok()) {
        return Verdict::Own;
    }
    let other = wires().find(|(_, other)| {
        other.delimiter() != wire.delimiter()
            && message(*other).is_some_and(|message| other.decode(message).is_ok())
    });
    if let Some((name, _)) = other {
        return Verdict::Other(format!("it speaks another wire: say --wire {name}"));
    }
    if let Some(message) = own {
        let is_call = serde_json::from_slice::<serde_json::Value>(message);
        let is_call = is_call.is_ok_and(|message| message.get("jsonrpc").is_some());
        return Verdict::Other(if is_call { "it speaks JSON-RPC".to_owned() } else { no_envelope(bytes) });
    }
    let ended_by_nul = bytes.iter().position(|byte| *byte == 0).map(|end| &bytes[..end]);
    let is_foreign = |text: &[u8]| {
        serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() && Wire::NODE_0_4.decode(text).is_err()
    };
    if ended_by_nul.is_some_and(is_foreign) {
        return Verdict::Other("it ends its messages with a NUL, as Varlink does".to_owned());
    }
    if is_end || bytes.len() >= LOOKED_AT { Verdict::Own } else { Verdict::Unsure }
}

fn no_envelope(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    format!("its first message is no envelope: `{}`", shortened(line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(wire: Wire, bytes: &[u8]) -> String {
        match judge(wire, bytes, false) {
            Verdict::Other(text) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn own_wire_is_known_by_its_first_envelope() {
        for (_, wire) in wires() {
            let mut line = Vec::new();
            wire.encode("hello", &1, &mut line).unwrap();
            for end in 0..line.len() {
                assert_eq!(judge(wire, &line[..end], false), Verdict::Unsure, "{end} of {line:?}");
            }
            assert_eq!(judge(wire, &line, false), Verdict::Own);
        }
        assert_eq!(judged(Wire::JSON_LINES, b"\n\r\n {\"topic\":\"a\"}\n"), "Own");
    }

    #[test]
    fn other_wires_and_protocols_are_named() {
        let json = Wire::JSON_LINES;
        for (bytes, expected) in [
            (&b"{\"topic\":\"a\",\"message\":1}\0\0"[..], "it speaks another wire: say --wire node-0.4"),
            (b"{\"topic\":\"a\",\"message\":1}%EOM%", "it speaks another wire: say --wire node-0.2"),
            (b"{\"topic\":\"a\",\"data\":1}%<EOM>%\n", "it speaks another wire: say --wire node-0.1"),
            (b"HTTP/1.1 400 Bad Request\r\n", "it speaks HTTP"),
            (b"\0\0\x12\x04\0\0\0\0\0\0", "it speaks HTTP/2, as gRPC does"),
            (b"-ERR unknown command\r\n", "it speaks the protocol of Redis"),
            (b"+OK\r\n", "it speaks the protocol of Redis"),
            (b"-NOAUTH Authentication required.\r\n", "it speaks the protocol of Redis"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "it speaks SSH"),
            (b"REJECTED EXTERNAL\r\n", "it speaks D-Bus"),
            (b"ERROR \"Unknown command\"\r\n", "it speaks D-Bus"),
            (b"\x16\x03\x03\0\x7a\x02\0\0\x76", "it speaks TLS"),
            (b"E\0\0\0\x40SFATAL\0", "it speaks the protocol of PostgreSQL"),
            (b"\x15\x03\x01\0\x02\x02\n", "it speaks TLS"),
            (b"INFO {\"server_id\":", "it speaks NATS: say --nats in place of the path"),
            (b"{\"jsonrpc\":\"2.0\",\"id\":null}\n", "it speaks JSON-RPC"),
            (b"{\"error\":\"x\"}\0", "it ends its messages with a NUL, as Varlink does"),
            (b"who is there?\n", "its first message is no envelope: `who is there?`"),
            (b"{\"no\":\"topic\"}\n", "its first message is no envelope: `{\"no\":\"topic\"}`"),
        ] {
            assert_eq!(judged(json, bytes), expected);
        }
        let line = b"{\"topic\":\"a\",\"message\":1}\n";
        assert_eq!(judged(Wire::NODE_0_4, line), "it speaks another wire: say --wire json");
    }

    #[test]
    fn little_or_long_is_left_open() {
        assert_eq!(judged(Wire::JSON_LINES, b"HTT"), "Unsure");
        assert_eq!(
            judge(Wire::JSON_LINES, b"HTT", true),
            Verdict::Other("its first message is no envelope: `HTT`".to_owned())
        );
        assert_eq!(judged(Wire::JSON_LINES, b"{\"topic\":\"a\",\"message\":1}\0"), "Unsure");
        let long = ["{\"topic\":\"a\",\"message\":\"", &"x".repeat(LOOKED_AT)].concat();
        assert_eq!(judged(Wire::JSON_LINES, long.as_bytes()), "Own");
    }
}
