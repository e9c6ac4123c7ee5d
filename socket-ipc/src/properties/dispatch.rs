//! A listener receives a message in every way that the router can take.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::listener::ListenerId;
use crate::metrics::Metrics;
use crate::router::{Audience, CallResult, Owned, Raw, Report, RespondingRaw, Router};
use crate::sync::lock;
use crate::wire::{EnvelopeKind, ReplyTo, RequestId, StreamPart, Wire};

/// The longest topic that the router accepts.
pub(super) const TOPIC_LEN: usize = 64;

/// What listeners received and what was reported, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, text: String) {
        lock(&self.0).push(text);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Report<()> for Log {
    fn message_error(&self, error: MessageError, (): ()) {
        let kind = match error.kind() {
            MessageErrorKind::Decode { .. } => "does not decode",
            MessageErrorKind::Envelope(_) => "no envelope",
            _ => "other",
        };
        self.note(format!("{kind}: {} of {}", error.raw().len(), error.len()));
    }

    fn listener_panicked(&self, listens_for: String, (): (), panic: String) {
        panic!("the listener of {listens_for} panicked: {panic}");
    }

    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], (): ()) {
        self.note(format!("reply to {re}: {topic}, {} bytes", envelope.len()));
    }

    // No topic has a responder here, so every request fails; that is not what is compared.
    fn send_error_reply(&self, _: &ReplyTo, _: &str, _: ErrorReply, (): ()) {}
}

fn router(wire: Wire) -> Router<()> {
    let reports = crate::listener::DropReport::default();
    Router::new(wire, TOPIC_LEN, usize::MAX, Metrics::new(), reports)
}

/// A responder is called for requests with a valid id, and for messages without one that are no replies.
fn check_responder(wire: Wire, topic: &str, bytes: &[u8]) {
    let (log, router) = (Log::default(), router(wire));
    let called = log.clone();
    let responder = RespondingRaw::new(Some("sum".into()), move |_, (), to: &ReplyTo| {
        called.note(format!("called: {to:?}"));
        CallResult::Done
    });
    assert!(router.attach_as(ListenerId::next(), topic, responder).is_ok(), "it is the first responder");
    let mut cached = router.cached();
    assert!(router.dispatch(&mut cached, bytes, (), &log).is_none(), "the responder is not asynchronous");
    let called: Vec<_> = log.taken().into_iter().filter(|note| note.starts_with("called")).collect();
    let to = wire.decode(bytes).ok().and_then(|envelope| match envelope.kind {
        EnvelopeKind::Request(id) => (envelope.stream == StreamPart::None).then_some(ReplyTo::Request(id)),
        EnvelopeKind::Message => {
            (!envelope.replies_to_none && envelope.odd_id.is_none()).then_some(ReplyTo::Listeners)
        }
        EnvelopeKind::Reply(_) => None,
    });
    assert_eq!(called, to.map(|to| format!("called: {to:?}")).into_iter().collect::<Vec<_>>());
}

/// A listener receives the same message alone, after another one, beside a second listener, and beside a raw one.
pub(super) fn check_dispatch(wire: Wire, topic: &str, bytes: &[u8]) {
    check_responder(wire, topic, bytes);
    let (log, router) = (Log::default(), router(wire));
    let attach_typed = || {
        let log = log.clone();
        let listener = Owned::<Value, _>::new(move |message, _, ()| {
            log.note(format!("typed: {message}"));
            CallResult::Done
        });
        router.attach(Audience::Topic(topic), listener)
    };
    let mut cached = router.cached();
    let mut dispatch = |bytes: &[u8]| {
        assert!(router.dispatch(&mut cached, bytes, (), &log).is_none(), "no listener is asynchronous");
        log.taken()
    };
    attach_typed();
    let alone = dispatch(bytes);
    assert_eq!(dispatch(bytes), alone, "after itself");
    let mut other = Vec::new();
    if wire.encode(topic, &"other", &mut other).is_ok() {
        other.truncate(other.len() - wire.delimiter().len());
        assert_eq!(dispatch(&other), ["typed: \"other\""]);
        assert_eq!(dispatch(bytes), alone, "after another message of its topic");
    }
    attach_typed();
    let twice: Vec<_> = match &alone[..] {
        [once] if !once.starts_with("no envelope") && !once.starts_with("reply") => {
            vec![once.clone(), once.clone()]
        }
        once => once.to_vec(),
    };
    assert_eq!(dispatch(bytes), twice, "by two listeners");
    let raw = log.clone();
    router.attach(
        Audience::Every,
        Box::new(Raw(move |_: crate::RawMessage<'_>, topic: &str, ()| raw.note(format!("raw: {topic}")))),
    );
    let beside_raw = dispatch(bytes);
    let is_envelope =
        wire.decode(bytes).is_ok_and(|envelope| !matches!(envelope.kind, EnvelopeKind::Reply(_)));
    assert_eq!(beside_raw.first().is_some_and(|first| *first == format!("raw: {topic}")), is_envelope);
    assert_eq!(beside_raw[usize::from(is_envelope)..], twice, "beside a raw listener");
}
