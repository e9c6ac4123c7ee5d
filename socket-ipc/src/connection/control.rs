//! Control lines: what one endpoint tells the other about a request, beside messages.
//!
//! They have the form of replies to a request with the id 0, which no peer sends. So a version that does not know
//! control lines ignores them.

use super::outbox::Outbox;
use crate::wire::{EnvelopeKind, RequestId, Tail, Wire, reply_id_at_end};

/// The topic of the line that says that nobody waits for a reply any more. Its message is the id of the request.
const CANCEL: &str = "socket-ipc.cancel";

/// The beginning of every control line whose topic is written first.
const FRONT: &[u8] = b"{\"topic\":\"socket-ipc.";

/// A control line of the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Nobody waits for the reply to the request with this id any more.
    Cancel(RequestId),
}

impl Control {
    /// Reads a message as a control line. `None` for every other message, quickly.
    #[inline]
    pub(super) fn read(wire: Wire, bytes: &[u8]) -> Option<Self> {
        (bytes.starts_with(FRONT) || reply_id_at_end(bytes) == Some(0)).then(|| Self::decode(wire, bytes))?
    }

    #[cold]
    fn decode(wire: Wire, bytes: &[u8]) -> Option<Self> {
        let envelope = wire.decode(bytes).ok()?;
        let is_control = matches!(&envelope.kind, EnvelopeKind::Reply(re) if re.number() == Some(0));
        if !is_control || envelope.topic != CANCEL {
            return None;
        }
        RequestId::read(envelope.message.as_str()).map(Self::Cancel)
    }
}

/// Tells the peer that nobody waits for the reply to a request any more.
pub(super) fn cancel(outbox: &Outbox, wire: Wire, id: u64) {
    let (re, mut line) = (RequestId::from(0), Vec::new());
    let tail = Tail::Reply { re: Some(&re), is_error: false };
    // A number can always be encoded.
    if wire.encode_within(usize::MAX, tail, CANCEL, &id, &mut line).is_ok() {
        outbox.push_control(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_cancel_in_any_form_is_read() {
        let read = |line: &str| Control::read(Wire::JSON_LINES, line.as_bytes());
        for (line, id) in [
            (r#"{"topic":"socket-ipc.cancel","message":8,"re":0}"#, "8"),
            (r#"{"topic":"socket-ipc.cancel","re":0,"message":8.0}"#, "8.0"),
            (r#"{"message":"a-8","topic":"socket-ipc.cancel","re":0}"#, r#""a-8""#),
        ] {
            let Some(Control::Cancel(read)) = read(line) else { panic!("{line} is no cancel") };
            assert_eq!(read.to_string(), id);
        }
        for line in [
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
