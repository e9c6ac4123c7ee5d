//! Envelopes are read as serde_json reads them.

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::dispatch::{TOPIC_LEN, check_dispatch};
use super::replies::check_reply;
use super::streams::check_stream;
use super::wire;
use crate::connection::Control;
use crate::wire::{
    Envelope, EnvelopeKind, RequestId, StreamPart, Tail, Wire, count_delimiters, reply_id_at_end,
    request_id_at_end, topic_or_none,
};

/// Errors of serde_json for text that is well-formed JSON, but that it can't turn into a tree.
const ONLY_A_DECODER_FINDS: [&str; 4] = [
    "number out of range",
    "lone leading surrogate",
    "unexpected end of hex escape",
    "recursion limit exceeded",
];

/// The parser of this library and serde_json's tree accept the same envelopes and read the same content from them. A
/// listener receives the same message whether it is decoded in one pass or after its envelope, and whichever message
/// came before it. The first byte of `data` chooses the wire.
pub fn decoder(data: &[u8]) {
    let [number, bytes @ ..] = data else { return };
    let wire = wire(*number);
    let read = wire.decode(bytes);
    match (reference(wire, bytes), &read) {
        (Ok(reference), Ok(envelope)) => {
            assert_eq!(envelope.topic, reference.topic);
            assert_eq!(envelope.message.to_value().ok(), Some(reference.message));
            check_keys(envelope, &reference.keys);
            check_ids(wire, bytes, envelope);
            check_stream(wire, bytes, envelope);
            check_reply(wire, bytes, envelope);
            check_control(wire, bytes, envelope, &reference.names);
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => panic!("an envelope was rejected: {error}"),
        (Err(reason), Ok(_)) => {
            assert!(
                ONLY_A_DECODER_FINDS.iter().any(|known| reason.contains(known)),
                "not rejected: {reason}"
            );
        }
    }
    let topic = read.as_ref().map_or("t", |envelope| &*envelope.topic);
    if topic.len() <= TOPIC_LEN {
        check_dispatch(wire, topic, bytes);
    }
}

/// A reply repeats the id of its request, however that is written. Only a reply is an error reply. The id that is read
/// at the end of an envelope is the id of the whole envelope.
fn check_ids(wire: Wire, bytes: &[u8], envelope: &Envelope<'_>) {
    let (id, re) = match &envelope.kind {
        EnvelopeKind::Message => (None, None),
        EnvelopeKind::Request(id) => (Some(id), None),
        EnvelopeKind::Reply(re) => (None, Some(re)),
    };
    assert!(!envelope.is_error || re.is_some(), "only a reply is an error reply");
    if let Some(seen) = reply_id_at_end(bytes) {
        assert_eq!(re.and_then(RequestId::number), Some(seen), "a reply seen at its end");
    }
    if let Some(seen) = request_id_at_end(bytes) {
        // An envelope with both keys is a reply.
        assert!(re.is_some() || id == Some(&seen), "a request seen at its end");
    }
    let Some(id) = id else { return };
    for is_error in [false, true] {
        let (tail, mut written) = (Tail::Reply { re: Some(id), is_error }, Vec::new());
        let written_well = wire.encode_within(usize::MAX, tail, "t", &1, &mut written);
        assert!(written_well.is_ok(), "a reply that is not written");
        assert_eq!(count_delimiters(wire, &written), 1, "a delimiter inside a reply");
        written.truncate(written.len() - wire.delimiter().len());
        let reply = wire.decode(&written).unwrap_or_else(|error| panic!("no reply: {error}"));
        let EnvelopeKind::Reply(re) = &reply.kind else { panic!("no reply: {:?}", reply.kind) };
        assert_eq!((re.number(), reply.is_error), (id.number(), is_error), "the reply to {id}");
        let text = |id: &RequestId| serde_json::from_str::<Value>(&id.to_string()).ok();
        assert_eq!(text(re), text(id), "the reply to {id}");
        // The id is written differently only where it holds the first character of the delimiter, which is escaped.
        assert!(re == id || id.to_string().contains(wire.delimiter().chars().next().unwrap_or_default()));
    }
}

/// The keys beside topic and message say what an envelope is.
fn check_keys(envelope: &Envelope<'_>, keys: &[(String, String)]) {
    let value = |name| keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (id, re) = (value("id").and_then(RequestId::read), value("re").and_then(RequestId::read));
    let is_reply = re.is_some();
    let kind = match (id, re) {
        (_, Some(re)) => EnvelopeKind::Reply(re),
        (Some(id), None) => EnvelopeKind::Request(id),
        (None, None) => EnvelopeKind::Message,
    };
    assert_eq!(envelope.kind, kind);
    // Of several the last counts.
    let flags = ["error", "started", "more"];
    let says =
        keys.iter().rfind(|(key, value)| flags.contains(&&**key) && value == "true").map(|(key, _)| &**key);
    assert_eq!(
        envelope.is_error,
        is_reply && says == Some("error"),
        "an error reply is a reply that says so"
    );
    assert_eq!(
        envelope.stream == StreamPart::Started,
        is_reply && says == Some("started"),
        "the start of a stream"
    );
    assert_eq!(envelope.stream == StreamPart::Item, is_reply && says == Some("more"), "an item of a stream");
    let replies_to_none = value("id").is_none() && value("re") == Some("null");
    assert_eq!(envelope.replies_to_none, replies_to_none, "a reply to a request without an id");
    let odd_id = value("id").filter(|_| envelope.kind == EnvelopeKind::Message);
    assert_eq!(envelope.odd_id, odd_id, "an id of no valid form");
}

/// A control line is a reply to the id 0 under one of two topics. With the topic first or `"re":0` last, it is noticed.
fn check_control(wire: Wire, bytes: &[u8], envelope: &Envelope<'_>, names: &[String]) {
    let read = Control::read(wire, bytes);
    let is_reply_to_0 = matches!(&envelope.kind, EnvelopeKind::Reply(re) if re.number() == Some(0));
    let id = RequestId::read(envelope.message.as_str());
    let renewal = envelope.message.decode::<[Value; 2]>().ok();
    match &read {
        Some(Control::Cancel(id)) => {
            assert!(is_reply_to_0 && envelope.topic == "socket-ipc.cancel", "no cancel: {envelope:?}");
            assert_eq!(Some(id), RequestId::read(envelope.message.as_str()).as_ref());
        }
        Some(Control::More(id, bytes)) => {
            assert!(is_reply_to_0 && envelope.topic == "socket-ipc.more", "no renewal: {envelope:?}");
            let parts = envelope.message.decode::<[&RawValue; 2]>();
            assert!(parts.is_ok_and(|[read, _]| RequestId::read(read.get()).as_ref() == Some(id)));
            let number = renewal.as_ref().and_then(|[_, number]| number.as_f64()).unwrap_or(f64::NAN);
            // The largest number stands for every larger one.
            let read = *bytes as f64;
            assert!(
                (read - number).abs() <= read * 2.0 * f64::EPSILON || *bytes == u64::MAX && number > read
            );
        }
        None => {}
    }
    let is_cancel = is_reply_to_0 && envelope.topic == "socket-ipc.cancel" && id.is_some();
    let is_more = is_reply_to_0
        && envelope.topic == "socket-ipc.more"
        && renewal.is_some_and(|[id, bytes]| id.is_u64() && bytes.is_u64());
    let is_usual = !bytes.contains(&b'\\')
        && (names.first().is_some_and(|name| name == "topic") || bytes.ends_with(b"\"re\":0}"))
        && bytes.starts_with(b"{");
    assert!(read.is_some() || !(is_cancel || is_more) || !is_usual, "a control line that is not noticed");
}

/// An envelope, by way of a tree.
struct Reference {
    topic: String,
    message: Value,
    /// The names of all keys, in order.
    names: Vec<String>,
    /// The keys beside topic and message, and their JSON text.
    keys: Vec<(String, String)>,
}

fn reference(wire: Wire, bytes: &[u8]) -> Result<Reference, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let Pairs::<Value>(pairs) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let all = |key| pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value);
    let topic = match all("topic").collect::<Vec<_>>()[..] {
        [Value::String(topic)] => topic_or_none(topic).to_owned(),
        _ => return Err("not one topic".to_owned()),
    };
    let message = match all(wire.message_key()).collect::<Vec<_>>()[..] {
        [] => Value::Null,
        [message] => message.clone(),
        _ => return Err("two messages".to_owned()),
    };
    if all("id").count() > 1 || all("re").count() > 1 {
        return Err("two ids".to_owned());
    }
    let Pairs::<Box<RawValue>>(texts) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let keys = texts.into_iter().filter(|(name, _)| name != "topic" && name != wire.message_key());
    Ok(Reference {
        topic,
        message,
        names: pairs.iter().map(|(name, _)| name.clone()).collect(),
        keys: keys.map(|(name, value)| (name, value.get().to_owned())).collect(),
    })
}

/// An object with all its pairs; a tree would keep only the last pair of a name.
struct Pairs<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}
