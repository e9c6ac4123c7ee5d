//! Control lines: what one endpoint tells the other about a request, beside messages.
//!
//! They have the form of replies to a request with the id 0, which no peer sends: a version that does not know control
//! lines ignores them.

use serde::Serialize;
use serde_json::value::RawValue;

use super::outbox::Outbox;
use crate::wire::{EnvelopeKind, RequestId, Tail, Wire, byte_count};

/// The topic of the line that says that nobody waits for a reply any more. Its message is the id of the request.
const CANCEL: &str = "socket-ipc.cancel";

/// The topic of the line that says that the requester of a stream takes more items. Its message is the id of the
/// request, and a number of bytes.
const MORE: &str = "socket-ipc.more";

/// A control line of the peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Nobody waits for the reply to the request with this id any more.
    Cancel(RequestId),
    /// The requester of the stream with this id takes this many more bytes.
    More(RequestId, u64),
}

impl Control {
    /// Reads a message as a control line. `None` for every other message, quickly: its topic has to come first, or its
    /// `re` last.
    #[inline]
    pub(crate) fn read(wire: Wire, bytes: &[u8]) -> Option<Self> {
        may_be_control(bytes).then(|| Self::decode(wire, bytes))?
    }

    #[cold]
    fn decode(wire: Wire, bytes: &[u8]) -> Option<Self> {
        let envelope = wire.decode(bytes).ok()?;
        let is_control = matches!(&envelope.kind, EnvelopeKind::Reply(re) if re.number() == Some(0));
        if !is_control {
            return None;
        }
        match &*envelope.topic {
            CANCEL => RequestId::read(envelope.message.as_str()).map(Self::Cancel),
            MORE => {
                let [id, more]: [&RawValue; 2] = serde_json::from_str(envelope.message.as_str()).ok()?;
                Some(Self::More(RequestId::read(id.get())?, byte_count(more.get())?))
            }
            _ => None,
        }
    }
}

/// Whether a message begins with a topic of the library's own, or ends with `"re":0}`. There may be white space between
/// the parts.
#[inline]
fn may_be_control(bytes: &[u8]) -> bool {
    // Every control line is longer than these parts.
    let Some(([_, _, front @ ..], rest)) = bytes.split_first_chunk::<10>() else { return false };
    let Some(end) = rest.last_chunk::<8>() else { return false };
    // Eight bytes are compared at once, and then one: most topics differ in the first byte.
    let has_front = if front == b"topic\":\"" {
        matches!(rest, [b's', b'o', b'c', b'k', b'e', b't', b'-', b'i', b'p', b'c', b'.', ..])
    } else {
        has_spaced_front(bytes).is_some()
    };
    let has_end = || match end {
        [_, b'"', b'r', b'e', b'"', b':', b'0', b'}'] => true,
        // White space between these parts is among the eight bytes.
        _ => has_blank(*end) && has_spaced_end(bytes).is_some(),
    };
    has_front || has_end()
}

fn has_spaced_front(bytes: &[u8]) -> Option<()> {
    let rest = bytes.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"topic\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    rest.starts_with(b"\"socket-ipc.").then_some(())
}

fn has_spaced_end(bytes: &[u8]) -> Option<()> {
    let rest = bytes.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end().strip_suffix(b"0")?;
    let rest = rest.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    rest.ends_with(b"\"re\"").then_some(())
}

/// Whether one of the bytes is white space or a control character.
#[inline]
fn has_blank(bytes: [u8; 8]) -> bool {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let bytes = u64::from_le_bytes(bytes);
    // The subtraction sets the highest bit of the first byte that is less.
    bytes.wrapping_sub(EACH * u64::from(b' ' + 1)) & !bytes & (EACH * 0x80) != 0
}

/// Tells the peer that nobody waits for the reply to a request any more.
pub(super) fn cancel(outbox: &Outbox, wire: Wire, id: u64) {
    send(outbox, wire, CANCEL, &id);
}

/// Tells the peer that the requester of a stream takes this many more bytes. Returns where the line ends in the outbox.
pub(super) fn more(outbox: &Outbox, wire: Wire, id: u64, bytes: u64) -> u64 {
    send(outbox, wire, MORE, &[id, bytes])
}

fn send(outbox: &Outbox, wire: Wire, topic: &str, message: &impl Serialize) -> u64 {
    let (re, mut line) = (RequestId::from(0), Vec::new());
    let tail = Tail::Reply { re: Some(&re), is_error: false };
    // Numbers can always be encoded.
    match wire.encode_within(usize::MAX, tail, topic, message, &mut line) {
        Ok(()) => outbox.push_control(&line),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_blank_any_byte_at_any_place_is_that_of_white_space_and_control_characters() {
        for others in [[b'x'; 8], [b'!'; 8], *b"\"re\":0}}", [0xff; 8]] {
            for at in 0..8 {
                for byte in 0..=u8::MAX {
                    let mut bytes = others;
                    bytes[at] = byte;
                    assert_eq!(has_blank(bytes), byte <= b' ', "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn control_line_in_any_form_is_read() {
        let read = |line: &str| Control::read(Wire::JSON_LINES, line.as_bytes());
        for (line, id) in [
            (r#"{"topic":"socket-ipc.cancel","message":8,"re":0}"#, "8"),
            (r#"{"topic":"socket-ipc.cancel","re":0,"message":8.0}"#, "8.0"),
            (r#"{"message":"a-8","topic":"socket-ipc.cancel","re":0}"#, r#""a-8""#),
            (r#"{"topic": "socket-ipc.cancel", "message": 8, "re": 0}"#, "8"),
            (r#"{ "topic" : "socket-ipc.cancel", "re": 0, "message": 8 } "#, "8"),
            (r#"{"message": 8, "topic": "socket-ipc.cancel", "re" : 0 } "#, "8"),
            (r#"{"message":8,"topic":"socket-ipc.cancel","re" :0}"#, "8"),
            ("{\"message\":8,\"topic\":\"socket-ipc.cancel\",\"re\":0}\t\t\t\t\t\t\t\t\t\t", "8"),
            (r#"{ "topic":"socket-ipc.cancel","re":0,"message":8}"#, "8"),
            (r#"{"topic" :"socket-ipc.cancel","re":0,"message":8}"#, "8"),
            (r#"{"topic": "socket-ipc.cancel","re":0,"message":8}"#, "8"),
        ] {
            let Some(Control::Cancel(read)) = read(line) else { panic!("{line} is no cancel") };
            assert_eq!(read.to_string(), id);
        }
        for (line, more) in [
            (r#"{"topic":"socket-ipc.more","message":[8,65536],"re":0}"#, ("8", 65_536)),
            (r#"{"topic":"socket-ipc.more","re":0,"message":[ 8.0 , 1e3 ]}"#, ("8.0", 1000)),
            (r#"{"topic":"socket-ipc.more","message":["a",1e99],"re":0}"#, (r#""a""#, u64::MAX)),
        ] {
            let Some(Control::More(id, bytes)) = read(line) else { panic!("{line} is no renewal") };
            assert_eq!((&*id.to_string(), bytes), more);
        }
        for line in [
            r#"{"topic":"socket-ipc.more","message":[8,-1],"re":0}"#,
            r#"{"topic":"socket-ipc.more","message":[8,0.5],"re":0}"#,
            r#"{"topic":"socket-ipc.more","message":[8],"re":0}"#,
            r#"{"topic":"socket-ipc.more","message":[8,1,1],"re":0}"#,
            r#"{"topic":"socket-ipc.more","message":[null,1],"re":0}"#,
            r#"{"topic":"socket-ipc.more","message":8,"re":0}"#,
            r#"{"topic":"socket-ipc.cancel","message":8}"#,
            r#"{"topic":"socket-ipc.cancel","message":8,"re":1}"#,
            r#"{"topic":"socket-ipc.cancel","message":[8],"re":0}"#,
            r#"{"topic":"socket-ipc.cancel","message":8,"id":0}"#,
            r#"{"topic":"socket-ipc.other","message":8,"re":0}"#,
            r#"{"topic":"add","message":8,"re":0}"#,
            r#"{"topic":"socket-ipc.cancel","message":8,"re":0"#,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
