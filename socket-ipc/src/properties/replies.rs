//! Replies are found among held-back messages, and error replies carry what a responder gave.

use serde_json::Value;

use crate::connection::may_be_reply;
use crate::error::error_reply::ErrorReply;
use crate::wire::{EncodeError, Envelope, EnvelopeKind, Tail, Wire, count_delimiters};

/// Every reply is found among the messages that wait. The message of an error reply is read as its tree says, and an
/// error reply with this message as its data reads back.
pub(super) fn check_reply(wire: Wire, bytes: &[u8], envelope: &Envelope<'_>) {
    if matches!(envelope.kind, EnvelopeKind::Reply(_)) {
        assert!(may_be_reply(bytes), "a reply that is passed over");
    }
    if let Ok(tree) = envelope.message.to_value() {
        check_message(envelope, &tree);
        check_data(wire, envelope, &tree);
    }
}

/// The message of an error reply has a code and a text, which are strings, and may have data, whatever its value.
fn check_message(envelope: &Envelope<'_>, tree: &Value) {
    let read = envelope.message.decode::<ErrorReply>();
    // An array has the same parts, in this order.
    let part = |name: &str, place: usize| tree.get(name).or_else(|| tree.get(place));
    let text = |name, place| part(name, place).and_then(Value::as_str);
    match (read, text("code", 0), text("text", 1)) {
        (Ok(read), code, text) => {
            assert_eq!((Some(read.code()), Some(read.text())), (code, text));
            let data = read.data().map(|data| data.to_value().ok());
            assert_eq!(data, part("data", 2).map(|data| Some(data.clone())));
        }
        (Err(error), Some(_), Some(_)) => {
            let reason = error.to_string();
            assert!(
                reason.contains("duplicate field") || tree.as_array().is_some_and(|parts| parts.len() > 3),
                "an error reply that is not read: {reason}"
            );
        }
        (Err(_), _, _) => {}
    }
}

/// An error reply that is written with data reads back.
fn check_data(wire: Wire, envelope: &Envelope<'_>, tree: &Value) {
    let data = envelope.message.clone().into_owned();
    let error_reply = ErrorReply::new(ErrorReply::FAILED, &*envelope.topic).with_data(data);
    let id = match &envelope.kind {
        EnvelopeKind::Message => None,
        EnvelopeKind::Request(id) | EnvelopeKind::Reply(id) => Some(id),
    };
    let (tail, mut written) = (Tail::Reply { re: id, is_error: true }, Vec::new());
    match wire.encode_within(usize::MAX, tail, "error", &error_reply, &mut written) {
        Ok(()) => {}
        // It nests one deeper than the message that was read.
        Err(EncodeError::TooDeep { .. }) => return,
        Err(error) => panic!("an error reply that is not written: {error}"),
    }
    assert_eq!(count_delimiters(wire, &written), 1, "a delimiter inside an error reply");
    written.truncate(written.len() - wire.delimiter().len());
    let read = wire.decode(&written).unwrap_or_else(|error| panic!("no error reply: {error}"));
    assert_eq!(read.is_error, id.is_some(), "an error reply is a reply to an id");
    let read = read.message.decode::<ErrorReply>().unwrap_or_else(|error| panic!("no error reply: {error}"));
    assert_eq!((read.code(), read.text()), (ErrorReply::FAILED, &*envelope.topic));
    assert_eq!(read.data().and_then(|data| data.to_value().ok()).as_ref(), Some(tree));
}
