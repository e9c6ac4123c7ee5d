//! The lines of streams are read as they are written, and the same in each way of reading them.

use serde_json::Value;

use crate::wire::{
    Envelope, EnvelopeKind, StreamPart, Tail, Window, Wire, count_delimiters, decode_item, reply_at_end,
};

/// Only a request has a window, and only a reply is a start or an item. What is read in one pass, or seen at the end of
/// a line, is what the whole envelope says.
pub(super) fn check_stream(wire: Wire, bytes: &[u8], envelope: &Envelope<'_>) {
    match (&envelope.stream, &envelope.kind) {
        (StreamPart::None, _)
        | (StreamPart::Request(_) | StreamPart::OddWindow(_), EnvelopeKind::Request(_))
        | (StreamPart::Started | StreamPart::Item, EnvelopeKind::Reply(_)) => {}
        (part, kind) => panic!("{part:?} of {kind:?}"),
    }
    assert!(!envelope.is_error || envelope.stream == StreamPart::None, "an error is no part of a stream");
    if let Some((_, seen)) = reply_at_end(bytes)
        && seen != StreamPart::None
    {
        assert_eq!(seen, envelope.stream, "a part of a stream seen at its end");
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Some(item) = wire.head(text).and_then(|head| decode_item::<Value>(head.rest)) {
        assert_eq!(envelope.stream, StreamPart::Item, "an item read in one pass");
        assert_eq!(envelope.message.to_value().ok(), Some(item));
    }
    check_written(wire, envelope);
}

/// The lines of a stream that is requested with this message and id read back.
fn check_written(wire: Wire, envelope: &Envelope<'_>) {
    let EnvelopeKind::Request(id) = &envelope.kind else { return };
    let window = if let StreamPart::Request(window) = envelope.stream { window } else { Window::Bytes(64) };
    let (topic, message) = (&*envelope.topic, &envelope.message);
    let [mut request, mut start, mut item] = [const { Vec::new() }; 3];
    // A message that nests too deep can be read, and not written.
    if wire.encode(topic, message, &mut request).is_err() {
        return;
    }
    wire.complete_stream_request(window, None, id, &mut request);
    wire.encode_started(topic, id, &mut start);
    let is_written = wire.encode_within(usize::MAX, Tail::Item(id), topic, message, &mut item).is_ok();
    assert!(is_written, "an item that is not written");
    let parts = [StreamPart::Request(window), StreamPart::Started, StreamPart::Item];
    for (mut line, part) in [request, start, item].into_iter().zip(parts) {
        assert_eq!(count_delimiters(wire, &line), 1, "a delimiter inside a line of a stream");
        line.truncate(line.len() - wire.delimiter().len());
        let read = wire.decode(&line).unwrap_or_else(|error| panic!("no line of a stream: {error}"));
        assert_eq!((&*read.topic, read.stream), (topic, part));
        if part != StreamPart::Started {
            assert_eq!(read.message.to_value().ok(), message.to_value().ok());
        }
    }
}
