//! Which listeners receive a message, without a socket.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::*;
use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::listener::DropReport;
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, ReplyTo, RequestId};

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "number", reply = Double)]
struct Number(u64);

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic = "double"]
struct Double(u64);

/// A request whose replies have a topic of their own.
#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "renamed", reply = Double, reply_topic = "double")]
struct Renamed(u64);

/// What listeners received and what was reported, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, text: impl Into<String>) {
        lock(&self.0).push(text.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Report<u64> for Log {
    fn message_error(&self, error: MessageError, from: u64) {
        let kind = match error.kind() {
            MessageErrorKind::Decode { line, column, type_name, .. } => {
                format!("decode {} at {line}:{column}", type_name.rsplit("::").next().unwrap_or_default())
            }
            MessageErrorKind::Envelope(_) => "envelope".to_owned(),
            MessageErrorKind::TopicTooLong { size, limit } => format!("topic {size} over {limit}"),
            other => format!("{other:?}"),
        };
        self.note(format!("{from}: error {kind}: {}", String::from_utf8_lossy(error.raw())));
    }

    fn listener_panicked(&self, listens_for: String, from: u64, panic: String) {
        self.note(format!("{from}: {listens_for} panicked: {panic}"));
    }

    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], from: u64) {
        let len = envelope.len();
        self.note(format!("{from}: reply to {re}: {topic}, {len} bytes"));
    }

    fn send_error_reply(&self, to: &ReplyTo, topic: &str, error_reply: ErrorReply, from: u64) {
        self.note(format!(
            "{from}: {to:?} of {topic} failed: {} ({})",
            error_reply.text(),
            error_reply.code()
        ));
    }
}

struct Fixture {
    router: Arc<Router<u64>>,
    log: Log,
    cached: Cached<u64>,
}

impl Fixture {
    fn new() -> Self {
        let router = Arc::new(Router::new(Wire::JSON_LINES, 10, 64, Metrics::new(), DropReport::default()));
        Self { cached: router.cached(), log: Log::default(), router }
    }

    fn typed(&self, name: &'static str) -> ListenerId {
        let log = self.log.clone();
        self.router.attach(
            Audience::Topic("number"),
            Typed::<Number, _>::new(move |Number(n), from: u64| log.note(format!("{from}: {name} {n}"))),
        )
    }

    fn raw(&self, topic: Option<&str>, name: &'static str) -> ListenerId {
        let log = self.log.clone();
        let listener = Raw(move |message: RawMessage<'_>, topic: &str, from: u64| {
            log.note(format!("{from}: {name} {topic} {message}"))
        });
        self.router.attach(topic.map_or(Audience::Every, Audience::Topic), Box::new(listener))
    }

    /// An asynchronous listener that finishes at its second poll.
    fn slow(&self, name: &'static str) -> ListenerId {
        let log = self.log.clone();
        self.router.attach(
            Audience::Topic("number"),
            Owned::<Number, _>::new(move |Number(n), _, from: u64| {
                let log = log.clone();
                log.note(format!("{from}: {name} {n} begins"));
                let mut polled = false;
                CallResult::Wait(Box::pin(async move {
                    std::future::poll_fn(|_| {
                        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                    log.note(format!("{from}: {name} {n} ends"));
                }))
            }),
        )
    }

    fn dispatch(&mut self, text: &str) -> Vec<String> {
        let mut pending = self.router.dispatch(&mut self.cached, text.as_bytes(), 7, &self.log);
        while let Some(waiting) = &mut pending {
            if waiting.poll(&mut Context::from_waker(Waker::noop()), 7, &self.log).is_ready() {
                pending = self.router.resume(&mut self.cached, waiting, text.as_bytes(), 7, &self.log);
            }
        }
        self.log.taken()
    }
}

#[test]
fn router_listeners_of_every_message_are_called_first() {
    let mut fixture = Fixture::new();
    fixture.typed("first");
    fixture.raw(Some("number"), "second");
    fixture.raw(None, "all");
    fixture.typed("third");
    let log = fixture.dispatch(r#"{"topic":"number","message":5}"#);
    assert_eq!(log, ["7: all number 5", "7: first 5", "7: second number 5", "7: third 5"]);
}

#[test]
fn router_asynchronous_listener_makes_next_wait() {
    let mut fixture = Fixture::new();
    fixture.typed("first");
    fixture.slow("slow");
    fixture.slow("slower");
    fixture.typed("last");
    let log = fixture.dispatch(r#"{"message":5,"topic":"number"}"#);
    let order = ["first 5", "slow 5 begins", "slow 5 ends", "slower 5 begins", "slower 5 ends", "last 5"];
    assert_eq!(log, order.map(|call| format!("7: {call}")));
}

#[test]
fn router_keys_in_any_order_calls_only_listener_once() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    for text in [
        r#"{"topic":"number","message":5}"#,
        r#"{"message":5,"topic":"number"}"#,
        r#"{"topic":"number","seq":1,"message":5,"at":2}"#,
        r#"{"topic":"number","message":5,"seq":1}"#,
        r#" { "topic" : "\u006eumber" , "message" : 5 } "#,
    ] {
        assert_eq!(fixture.dispatch(text), ["7: only 5"], "{text}");
    }
}

#[test]
fn router_decode_error_is_reported_and_others_called() {
    let mut fixture = Fixture::new();
    fixture.typed("first");
    fixture.raw(Some("number"), "raw");
    fixture.slow("second");
    let text = r#"{"topic":"number","message":"five"}"#;
    let error = format!("7: error decode Number at 1:34: {text}");
    assert_eq!(fixture.dispatch(text), [error.clone(), "7: raw number \"five\"".to_owned(), error]);
}

#[test]
fn router_envelope_broken_after_message_calls_no_listener() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    for text in [
        r#"{"topic":"number","message":5"#,
        r#"{"topic":"number","message":5}}"#,
        r#"{"topic":"number","message":5,"topic":"number"}"#,
    ] {
        assert_eq!(fixture.dispatch(text), [format!("7: error envelope: {text}")]);
    }
}

#[test]
fn router_topic_over_limit_is_reported() {
    let mut fixture = Fixture::new();
    fixture.raw(None, "all");
    assert_eq!(fixture.dispatch(r#"{"topic":"0123456789"}"#), ["7: all 0123456789 null"]);
    let text = r#"{"topic":"0123456789x"}"#;
    assert_eq!(fixture.dispatch(text), [format!("7: error topic 11 over 10: {text}")]);
}

#[test]
fn router_listener_panic_is_reported_and_others_called() {
    let mut fixture = Fixture::new();
    fixture
        .router
        .attach(Audience::Every, Box::new(Raw(|_: RawMessage<'_>, _: &str, _: u64| panic!("of all"))));
    fixture
        .router
        .attach(Audience::Topic("number"), Typed::<Number, _>::new(|_, _: u64| panic!("{}", "typed")));
    fixture.router.attach(
        Audience::Topic("number"),
        Owned::<Number, _>::new(|_, _, _: u64| CallResult::Wait(Box::pin(async { panic!("asynchronous") }))),
    );
    fixture.typed("last");
    let log = fixture.dispatch(r#"{"topic":"number","message":5}"#);
    let expected = [
        "7: every message panicked: of all",
        "7: `number` panicked: typed",
        "7: `number` panicked: asynchronous",
        "7: last 5",
    ];
    assert_eq!(log, expected);
}

#[test]
fn router_only_listener_panic_is_reported_once() {
    let mut fixture = Fixture::new();
    fixture.router.attach(Audience::Topic("number"), Typed::<Number, _>::new(|_, _: u64| panic!("typed")));
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":5}"#), ["7: `number` panicked: typed"]);
}

#[test]
fn router_listener_removes_next_does_not_call_it() {
    let mut fixture = Fixture::new();
    let router = Arc::clone(&fixture.router);
    let later = Arc::new(Mutex::new(None));
    let victim = Arc::clone(&later);
    fixture.raw(Some("number"), "first");
    fixture.router.attach(
        Audience::Topic("number"),
        Box::new(Raw(move |_: RawMessage<'_>, _: &str, _: u64| {
            if let Some(listener) = *lock(&victim) {
                router.off(listener);
            }
        })),
    );
    *lock(&later) = Some(fixture.typed("removed"));
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":5}"#), ["7: first number 5"]);
}

#[test]
fn router_attach_in_listener_applies_to_next_message() {
    let mut fixture = Fixture::new();
    let (router, log) = (Arc::clone(&fixture.router), fixture.log.clone());
    fixture.router.attach(
        Audience::Every,
        Box::new(Raw(move |_: RawMessage<'_>, _: &str, _: u64| {
            let log = log.clone();
            router.attach(
                Audience::Topic("number"),
                Typed::<Number, _>::new(move |Number(n), _: u64| log.note(format!("new {n}"))),
            );
        })),
    );
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":1}"#), [""; 0]);
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":2}"#), ["new 2"]);
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":3}"#), ["new 3", "new 3"]);
}

#[test]
fn router_closed_calls_and_keeps_no_listener() {
    let mut fixture = Fixture::new();
    fixture.typed("before");
    let router = Arc::clone(&fixture.router);
    let closer = Raw(move |_: RawMessage<'_>, _: &str, _: u64| router.close());
    fixture.router.attach(Audience::Every, Box::new(closer));
    assert_eq!(
        fixture.dispatch(r#"{"topic":"number","message":5}"#),
        [""; 0],
        "the other listeners of the message"
    );
    let kept = Arc::new(());
    let owner = |kept: &Arc<()>| {
        let kept = Arc::clone(kept);
        Box::new(Raw(move |_: RawMessage<'_>, _: &str, _: u64| drop(Arc::clone(&kept))))
    };
    let fixture = Fixture::new();
    fixture.router.attach(Audience::Every, owner(&kept));
    assert_eq!(Arc::strong_count(&kept), 2);
    fixture.router.clear();
    assert_eq!(Arc::strong_count(&kept), 1, "a listener of a closed router is not kept");
    fixture.router.attach(Audience::Every, owner(&kept));
    assert_eq!(Arc::strong_count(&kept), 1, "nor is one attached afterwards");
}

/// A listener that is not added is dropped without the lock of the table: what it owns may call the router in its
/// `Drop`.
#[test]
fn router_closed_attach_whose_drop_calls_router_returns() {
    struct Calls(Arc<Router<u64>>);

    impl Drop for Calls {
        fn drop(&mut self) {
            self.0.topics();
        }
    }

    let router = Fixture::new().router;
    router.close();
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let owned = Calls(Arc::clone(&router));
        let listener = Raw(move |_: RawMessage<'_>, _: &str, _: u64| drop(Arc::clone(&owned.0)));
        router.attach(Audience::Every, Box::new(listener));
        sender.send(()).unwrap();
    });
    done.recv_timeout(std::time::Duration::from_secs(20)).expect("it returns");
}

/// Which of the two decoders a message took to a listener.
struct Decoders(Log);

impl Listener<u64> for Decoders {
    fn call(
        &self,
        _message: &RawMessage<'_>,
        _topic: &str,
        _from: u64,
        _kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        self.0.note("whole envelope");
        Ok(CallResult::Done)
    }

    fn call_one_pass(&self, rest: &str, _from: u64) -> Option<CallResult> {
        self.0.note(format!("in one pass: {rest}"));
        Some(CallResult::Done)
    }
}

#[test]
fn router_single_listener_decodes_in_one_pass() {
    let mut fixture = Fixture::new();
    for topic in ["a", "b c", "0123456789", "0123456789+"] {
        fixture.router.attach(Audience::Topic(topic), Box::new(Decoders(fixture.log.clone())));
    }
    let one_pass = ["in one pass: 1}"];
    for topic in ["a", "a", "b c", "a", "0123456789", "0123456789"] {
        assert_eq!(
            fixture.dispatch(&format!("{{\"topic\":\"{topic}\",\"message\":1}}")),
            one_pass,
            "{topic}"
        );
    }
    // A topic over the limit, one with an escape, and keys in another order.
    assert_eq!(
        fixture.dispatch(r#"{"topic":"0123456789+","message":1}"#),
        [r#"7: error topic 11 over 10: {"topic":"0123456789+","message":1}"#]
    );
    assert_eq!(fixture.dispatch(r#"{"topic":"\u0061","message":1}"#), ["whole envelope"]);
    assert_eq!(fixture.dispatch(r#"{"message":1,"topic":"a"}"#), ["whole envelope"]);
    // With a second listener, the envelope is read whole first.
    fixture.raw(None, "all");
    assert_eq!(fixture.dispatch(r#"{"topic":"a","message":1}"#), ["7: all a 1", "whole envelope"]);
    fixture.router.close();
    assert_eq!(fixture.dispatch(r#"{"topic":"a","message":1}"#), [""; 0]);
}

#[test]
fn router_closed_does_not_call_only_listener() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":1}"#), ["7: only 1"]);
    fixture.router.close();
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":2}"#), [""; 0]);
}

#[test]
fn typed_listener_plain_envelope_decodes_in_one_pass() {
    let typed = Typed::<Number, _>::new(|Number(_), _: u64| {});
    assert!(typed.call_one_pass("5}", 7).is_some());
    assert!(typed.call_one_pass("5,\"id\":1}", 7).is_none(), "the envelope has to be read whole");
    let owned = Owned::<Number, _>::new(|Number(_), _, _: u64| CallResult::Done);
    assert!(owned.call_one_pass("5}", 7).is_some());
}

#[test]
fn router_off_returns_whether_listener_existed() {
    let fixture = Fixture::new();
    let (of_topic, of_all) = (fixture.typed("topic"), fixture.raw(None, "all"));
    for listener in [of_topic, of_all] {
        assert!(fixture.router.off(listener));
        assert!(!fixture.router.off(listener));
    }
}

/// A responder that doubles, panics at 13, and replies to even numbers later.
fn doubling(fixture: &Fixture) -> Box<dyn Listener<u64>> {
    let log = fixture.log.clone();
    Responding::<Number, _>::new(move |Number(n), from: u64, to| {
        assert_ne!(n, 13, "unlucky");
        log.note(format!("{from}: {to:?} {n} is {}", 2 * n));
        match n % 2 {
            1 => CallResult::Done,
            _ => {
                let wait = Box::pin(async move { assert_ne!(n, 14, "late") });
                CallResult::Responding { wait, to: to.clone(), on_cancel: OnCancel::Drop }
            }
        }
    })
}

#[test]
fn router_request_reaches_all_listeners_reply_none() {
    let mut fixture = Fixture::new();
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":5,"id":1}"#), ["7: Request(1) 5 is 10"]);
    assert_eq!(fixture.dispatch(r#"{"id":1,"message":5,"topic":"number"}"#), ["7: Request(1) 5 is 10"]);
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":5}"#), ["7: Nobody 5 is 10"]);
    assert_eq!(
        fixture.dispatch(r#"{"topic":"number","message":5,"re":1}"#),
        ["7: reply to 1: number, 37 bytes"]
    );
    fixture.raw(None, "all");
    fixture.typed("typed");
    let log = fixture.dispatch(r#"{"topic":"number","message":5,"id":2}"#);
    assert_eq!(log, ["7: all number 5", "7: Request(2) 5 is 10", "7: typed 5"]);
    assert_eq!(
        fixture.dispatch(r#"{"topic":"number","message":5,"re":2}"#),
        ["7: reply to 2: number, 37 bytes"]
    );
}

#[test]
fn router_failed_request_sends_error_reply() {
    let mut fixture = Fixture::new();
    let error_replies = |fixture: &mut Fixture, text| {
        let log = fixture.dispatch(text);
        log.into_iter().filter(|line| line.contains(" of number failed: ")).collect::<Vec<_>>()
    };
    let no_responder = "7: Request(1) of number failed: no responder for `number` (no_responder)";
    assert_eq!(error_replies(&mut fixture, r#"{"topic":"number","message":5,"id":1}"#), [no_responder]);
    fixture.typed("a listener is no responder");
    assert_eq!(error_replies(&mut fixture, r#"{"topic":"number","message":5,"id":1}"#), [no_responder]);
    let responder = ListenerId::next();
    fixture.router.attach_as(responder, "number", doubling(&fixture)).unwrap();
    let undecodable = error_replies(&mut fixture, r#"{"topic":"number","message":"five","id":1}"#);
    assert!(
        undecodable[0].ends_with("(undecodable)") && undecodable[0].contains("expected u64"),
        "{undecodable:?}"
    );
    let panicked = "7: Request(1) of number failed: the responder of `number` panicked (panicked)";
    assert_eq!(error_replies(&mut fixture, r#"{"topic":"number","message":13,"id":1}"#), [panicked]);
    // Whether a message without an id is replied to is for the connection to know.
    let panicked = "7: Nobody of number failed: the responder of `number` panicked (panicked)";
    assert_eq!(error_replies(&mut fixture, r#"{"topic":"number","message":13}"#), [panicked]);
    assert!(fixture.router.off(responder));
    assert_eq!(error_replies(&mut fixture, r#"{"topic":"number","message":5,"id":1}"#), [no_responder]);
}

#[test]
fn router_responder_panic_sends_error_reply() {
    let mut fixture = Fixture::new();
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    let log = fixture.dispatch(r#"{"topic":"number","message":13,"id":3}"#);
    assert!(log[0].starts_with("7: `number` panicked") && log[1].ends_with("(panicked)"), "{log:?}");
    for (text, running) in
        [(r#"{"topic":"number","message":14,"id":4}"#, 1), (r#"{"id":5,"topic":"number","message":4}"#, 2)]
    {
        fixture.dispatch(text);
        assert_eq!(fixture.cached.responder_calls.len(), running, "nothing waits for it");
    }
    let mut cx = Context::from_waker(Waker::noop());
    let results: Vec<_> = fixture
        .cached
        .responder_calls
        .iter_mut()
        .map(|call| call.poll(&mut cx, 7, &fixture.log).is_ready())
        .collect();
    assert_eq!(results, [true, true]);
    let log = fixture.log.taken();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[1].starts_with("7: Request(4) of number failed"), "{log:?}");
}

#[test]
fn router_second_responder_returns_error() {
    let fixture = Fixture::new();
    let first = ListenerId::next();
    fixture.router.attach_as(first, "number", doubling(&fixture)).unwrap();
    let raw = RespondingRaw::new(None, |_: RawMessage<'_>, _: u64, _: &_| CallResult::Done);
    let error = fixture.router.attach_as(ListenerId::next(), "number", raw).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("`RawMessage` can't respond to `number`: `socket_ipc::router::tests::Number` does"),
        "{text}"
    );
    let stream = RespondingStream::<Number, _>::new(|_, _: u64, _, _| CallResult::Done);
    let text = fixture.router.attach_as(ListenerId::next(), "number", stream).unwrap_err().to_string();
    assert!(text.starts_with("`socket_ipc::router::tests::Number` can't respond to `number`"), "{text}");
    let listener = Typed::<Number, _>::new(|_: Number, _: u64| {});
    fixture.router.attach_as(ListenerId::next(), "number", listener).unwrap();
    assert!(fixture.router.off(first));
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
}

#[test]
fn router_topic_without_listener_calls_fallback() {
    let mut fixture = Fixture::new();
    let log = fixture.log.clone();
    let fallback = Raw(move |message: RawMessage<'_>, topic: &str, _: u64| {
        log.note(format!("fallback {topic} {message}"))
    });
    let fallback = fixture.router.attach(Audience::Fallback, Box::new(fallback));
    fixture.raw(None, "all");
    assert_eq!(
        fixture.dispatch(r#"{"topic":"number","message":1}"#),
        ["7: all number 1", "fallback number 1"]
    );
    let listener = fixture.raw(Some("number"), "raw");
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":2}"#), ["7: all number 2", "7: raw number 2"]);
    fixture.router.off(listener);
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    assert_eq!(
        fixture.dispatch(r#"{"topic":"number","message":3}"#),
        ["7: all number 3", "7: Nobody 3 is 6"]
    );
    assert_eq!(fixture.dispatch(r#"{"topic":"other","message":4}"#), ["7: all other 4", "fallback other 4"]);
    assert!(fixture.router.off(fallback));
    assert_eq!(fixture.dispatch(r#"{"topic":"other","message":5}"#), ["7: all other 5"]);
}

#[test]
fn router_off_shared_token_removes_all_listeners() {
    let mut fixture = Fixture::new();
    let name = ListenerId::next();
    let listener =
        |log: Log| Typed::<Number, _>::new(move |Number(n), from: u64| log.note(format!("{from}: {n}")));
    fixture.router.attach_as(name, "number", listener(fixture.log.clone())).unwrap();
    fixture.router.attach_as(name, "count", listener(fixture.log.clone())).unwrap();
    fixture.typed("stays");
    assert_eq!(fixture.dispatch(r#"{"topic":"count","message":1}"#), ["7: 1"]);
    assert!(fixture.router.off(name));
    assert!(!fixture.router.off(name));
    assert_eq!(fixture.dispatch(r#"{"topic":"count","message":1}"#), [""; 0]);
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":1}"#), ["7: stays 1"]);
}

#[test]
fn router_off_cost_is_independent_of_topic_count() {
    let cost = |topics: usize| {
        let fixture = Fixture::new();
        let listeners: Vec<_> =
            (0..topics).map(|number| fixture.raw(Some(&format!("topic {number}")), "raw")).collect();
        // A connection holds the table, so that it can't be changed in place.
        let mut connection = fixture.router.cached();
        let mut costs: Vec<_> = (0..200)
            .map(|number| {
                let start = std::time::Instant::now();
                assert!(fixture.router.off(listeners[number * topics / 200]));
                let cost = start.elapsed();
                connection.refresh(&fixture.router, None);
                cost
            })
            .collect();
        costs.sort();
        costs[100]
    };
    let (few, many) = (cost(250), cost(16_000));
    assert!(many < 10 * few, "{many:?} of 16,000, {few:?} of 250");
}

#[test]
fn router_topics_come_and_go_table_stays_small() {
    let fixture = Fixture::new();
    for number in 0..1_000 {
        let listener = fixture.raw(Some(&format!("topic {number}")), "raw");
        assert!(fixture.router.off(listener));
    }
    assert_eq!(lock(&fixture.router.current).table.topics.part_count(), 1);
}

#[test]
fn router_many_topics_attach_and_off_keep_lookups() {
    let mut fixture = Fixture::new();
    let name = |number: usize| format!("topic {number}");
    let listeners: Vec<_> = (0..1_000).map(|number| fixture.raw(Some(&name(number)), "raw")).collect();
    for (number, listener) in listeners.iter().enumerate().filter(|(number, _)| number % 3 == 0) {
        assert!(fixture.router.off(*listener), "{number}");
    }
    for number in 0..1_000 {
        let log = fixture.dispatch(&format!("{{\"topic\":\"{}\",\"message\":1}}", name(number)));
        assert_eq!(log.is_empty(), number % 3 == 0, "{number}: {log:?}");
    }
    assert_eq!(fixture.router.topics().len(), 666);
    assert!(
        listeners
            .iter()
            .enumerate()
            .all(|(number, listener)| fixture.router.off(*listener) == (number % 3 != 0))
    );
    assert_eq!(fixture.router.topics(), []);
}

/// Panics as it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in drop");
    }
}

/// A future that never ends and panics as it is dropped.
fn panics_in_drop() -> super::listener::Wait {
    let value = PanicsInDrop;
    Box::pin(async move {
        std::future::pending::<()>().await;
        drop(value);
    })
}

#[test]
fn router_removed_listener_panics_in_drop_is_reported() {
    let fixture = Fixture::new();
    let log = fixture.log.clone();
    fixture.router.report.set(move |listens_for, panic| log.note(format!("{listens_for}: {panic}")));
    let value = PanicsInDrop;
    let listener = Raw(move |_: RawMessage<'_>, _: &str, _: u64| {
        let _ = &value;
    });
    let listener = fixture.router.attach(Audience::Topic("number"), Box::new(listener));
    assert!(fixture.router.off(listener));
    assert_eq!(fixture.log.taken(), ["`number`: in drop"]);
}

#[test]
fn router_running_listener_panics_in_drop_is_reported() {
    let mut fixture = Fixture::new();
    fixture.router.attach(
        Audience::Topic("number"),
        Owned::<Number, _>::new(|_, _, _: u64| CallResult::Wait(panics_in_drop())),
    );
    let text = br#"{"topic":"number","message":5}"#;
    let pending = fixture.router.dispatch(&mut fixture.cached, text, 7, &fixture.log).unwrap();
    pending.give_up(7, &fixture.log);
    assert_eq!(fixture.log.taken(), ["7: `number` panicked: in drop"]);
}

#[test]
fn router_running_responder_rejected_is_dropped_and_sends_error_reply() {
    let mut fixture = Fixture::new();
    let responder = Responding::<Number, _>::new(|_, _: u64, to| CallResult::Responding {
        wait: panics_in_drop(),
        to: to.clone(),
        on_cancel: OnCancel::Drop,
    });
    fixture.router.attach_as(ListenerId::next(), "number", responder).unwrap();
    fixture.dispatch(r#"{"topic":"number","message":5,"id":1}"#);
    let mut call = fixture.cached.responder_calls.pop().unwrap();
    call.reject("no room for 1000".to_owned(), 7, &fixture.log);
    let log = fixture.log.taken();
    assert_eq!(log[0], "7: `number` panicked: in drop");
    assert!(
        log[1].starts_with("7: Request(1) of number failed: ") && log[1].contains("no room for 1000"),
        "{log:?}"
    );
    assert!(log[1].ends_with("(too_many_requests)"), "{log:?}");
    fixture.dispatch(r#"{"topic":"number","message":5,"id":1}"#);
    let mut call = fixture.cached.responder_calls.pop().unwrap();
    call.give_up(7, &fixture.log);
    assert_eq!(fixture.log.taken(), ["7: `number` panicked: in drop"]);
}

#[tokio::test]
async fn router_pending_call_run_ends_the_listener() {
    let mut fixture = Fixture::new();
    fixture.router.attach(
        Audience::Topic("number"),
        Owned::<Number, _>::new({
            let log = fixture.log.clone();
            move |_, _, _: u64| {
                let log = log.clone();
                CallResult::Wait(Box::pin(async move {
                    tokio::task::yield_now().await;
                    log.note("ends");
                }))
            }
        }),
    );
    let text = br#"{"topic":"number","message":5}"#;
    let pending = fixture.router.dispatch(&mut fixture.cached, text, 7, &fixture.log).unwrap();
    pending.run(7, &fixture.log).await;
    assert_eq!(fixture.log.taken(), ["ends"]);
}

#[test]
fn router_listener_removed_while_message_waits_is_dropped_and_not_called() {
    let mut fixture = Fixture::new();
    fixture.slow("slow");
    let (owned, log) = (Arc::new(()), fixture.log.clone());
    let held = Arc::clone(&owned);
    let listener = Raw(move |_: RawMessage<'_>, _: &str, _: u64| log.note(format!("{held:?}")));
    let removed = fixture.router.attach(Audience::Topic("number"), Box::new(listener));
    fixture.raw(Some("number"), "last");
    let text = br#"{"topic":"number","message":5}"#;
    let mut pending = fixture.router.dispatch(&mut fixture.cached, text, 7, &fixture.log).unwrap();
    assert!(fixture.router.off(removed));
    fixture.cached.refresh(&fixture.router, Some((&mut pending, text)));
    assert_eq!(Arc::strong_count(&owned), 1);
    let mut cx = Context::from_waker(Waker::noop());
    while pending.poll(&mut cx, 7, &fixture.log).is_pending() {}
    assert!(fixture.router.resume(&mut fixture.cached, &mut pending, text, 7, &fixture.log).is_none());
    assert_eq!(fixture.log.taken(), ["7: slow 5 begins", "7: slow 5 ends", "7: last number 5"]);
}

#[test]
fn router_responder_removed_while_request_waits_sends_no_responder_once() {
    let no_responder = "7: Request(1) of number failed: no responder for `number` (no_responder)";
    for refreshed in 0..3 {
        let mut fixture = Fixture::new();
        fixture.slow("slow");
        let (responder, other) = (ListenerId::next(), fixture.raw(Some("number"), "other"));
        fixture.router.attach_as(responder, "number", doubling(&fixture)).unwrap();
        let text = br#"{"topic":"number","message":5,"id":1}"#;
        let mut pending = fixture.router.dispatch(&mut fixture.cached, text, 7, &fixture.log).unwrap();
        assert!(fixture.router.off(responder));
        if refreshed > 0 {
            fixture.cached.refresh(&fixture.router, Some((&mut pending, text)));
        }
        if refreshed > 1 {
            assert!(fixture.router.off(other));
            fixture.cached.refresh(&fixture.router, Some((&mut pending, text)));
        }
        let mut cx = Context::from_waker(Waker::noop());
        while pending.poll(&mut cx, 7, &fixture.log).is_pending() {}
        fixture.router.resume(&mut fixture.cached, &mut pending, text, 7, &fixture.log);
        let log = fixture.log.taken();
        let replies: Vec<_> = log.iter().filter(|line| line.contains("failed")).collect();
        assert_eq!(replies, [no_responder], "{log:?}");
    }
}

#[test]
fn router_listener_removes_what_follows_only_removed_responder_replies() {
    // A listener of all messages removes a listener, or the responder, as a message or request arrives.
    for (removes_responder, id, expected) in
        [(true, ",\"id\":1", 1), (true, "", 0), (false, ",\"id\":1", 0), (false, "", 0)]
    {
        let mut fixture = Fixture::new();
        let router = Arc::downgrade(&fixture.router);
        let removed = Arc::new(Mutex::new(None));
        let target = Arc::clone(&removed);
        let remover = Raw(move |_: RawMessage<'_>, _: &str, _: u64| {
            if let (Some(router), Some(listener)) = (router.upgrade(), lock(&target).take()) {
                router.off(listener);
            }
        });
        fixture.router.attach(Audience::Every, Box::new(remover));
        let (responder, other) = (ListenerId::next(), fixture.raw(Some("number"), "other"));
        fixture.router.attach_as(responder, "number", doubling(&fixture)).unwrap();
        *lock(&removed) = Some(if removes_responder { responder } else { other });
        let log = fixture.dispatch(&format!("{{\"topic\":\"number\",\"message\":5{id}}}"));
        let replies = log.iter().filter(|line| line.ends_with("(no_responder)")).count();
        assert_eq!(replies, expected, "{log:?}");
        assert_eq!(log.iter().any(|line| line.contains("other")), removes_responder, "{log:?}");
    }
}

/// A request that panics as it is decoded.
#[derive(socket_ipc::Topic)]
#[topic(name = "number", reply = Double)]
struct PanicsInDecode;

impl<'m> serde::Deserialize<'m> for PanicsInDecode {
    fn deserialize<D: serde::Deserializer<'m>>(_: D) -> Result<Self, D::Error> {
        panic!("in decode")
    }
}

#[test]
fn router_request_panics_in_decode_gets_error_reply() {
    let mut fixture = Fixture::new();
    let responder = Responding::<PanicsInDecode, _>::new(|_, _: u64, _| CallResult::Done);
    fixture.router.attach_as(ListenerId::next(), "number", responder).unwrap();
    for text in [r#"{"topic":"number","message":5,"id":1}"#, r#"{"id":1,"message":5,"topic":"number"}"#] {
        let log = fixture.dispatch(text);
        assert_eq!(log[0], "7: `number` panicked: in decode");
        assert_eq!(
            log[1..],
            ["7: Request(1) of number failed: the responder of `number` panicked (panicked)"]
        );
    }
}

#[test]
fn router_counts_messages_and_bytes_of_each_topic() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    let texts = [
        r#"{"topic":"number","message":5}"#,
        r#"{"topic":"number","message":6}"#,
        r#"{"message":5,"topic":"number"}"#,
        r#"{"topic":"other","message":5}"#,
    ];
    for text in texts {
        fixture.dispatch(text);
    }
    fixture.cached.count();
    let reply = br#"{"topic":"number","message":5,"re":1}"#;
    assert!(fixture.router.take_reply(reply, 7, &fixture.log));
    assert_eq!(fixture.log.taken(), ["7: reply to 1: number, 37 bytes"]);
    assert!(!fixture.router.take_reply(texts[0].as_bytes(), 7, &fixture.log));
    assert_eq!(fixture.log.taken(), [""; 0]);
    let stats = fixture.router.metrics.stats(0, 0, 0);
    let received: Vec<_> = stats
        .topics
        .iter()
        .map(|topic| (&*topic.topic, topic.received.messages, topic.received.bytes))
        .collect();
    assert_eq!(received, [("number", 3, 3 * 31)]);
    let others = &stats.other_topics.received;
    assert_eq!((others.messages, others.bytes), (2, 30 + 38));
}

#[test]
fn router_topics_names_the_reply_of_a_responder_only() {
    let fixture = Fixture::new();
    fixture.typed("typed");
    let topics = || fixture.router.topics().into_iter().map(|(_, reply)| reply).collect::<Vec<_>>();
    let reply_under = |topic: &str| ComesBack::ReplyUnder(topic.to_owned());
    assert_eq!(topics(), [ComesBack::Nothing]);
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    assert_eq!(topics(), [reply_under("number")]);
    let raw =
        RespondingRaw::new(Some("raw reply".into()), |_: RawMessage<'_>, _: u64, _: &_| CallResult::Done);
    fixture.router.attach_as(ListenerId::next(), "raw", raw).unwrap();
    assert_eq!(topics(), [reply_under("number"), reply_under("raw reply")]);
    let stream = RespondingRawStream::new(|_: RawMessage<'_>, _: u64, _, _| CallResult::Done);
    fixture.router.attach_as(ListenerId::next(), "stream", stream).unwrap();
    assert_eq!(topics()[2], ComesBack::Stream);
    let renamed = Responding::<Renamed, _>::new(|_, _: u64, _: &_| CallResult::Done);
    fixture.router.attach_as(ListenerId::next(), "renamed", renamed).unwrap();
    assert_eq!(topics()[2], reply_under("double"));
}

#[cfg(feature = "nats")]
#[test]
fn router_fallback_responder_removed_while_set_aside_stays_away() {
    let mut fixture = Fixture::new();
    let request = r#"{"topic":"number","message":5,"id":1}"#;
    let responder = |name: &'static str| {
        let log = fixture.log.clone();
        move |_: RawMessage<'_>, _: u64, _: &_| {
            log.note(name);
            CallResult::Done
        }
    };
    let fallback = RespondingRaw::fallback(None, responder("fallback"));
    let other = RespondingRaw::new(None, responder("other"));
    let (fallback_token, other_token) = (ListenerId::next(), ListenerId::next());
    fixture.router.attach_as(fallback_token, "number", fallback).unwrap();
    fixture.router.attach_as(other_token, "number", other).unwrap();
    assert_eq!(fixture.dispatch(request), ["other"]);
    assert!(fixture.router.off(fallback_token));
    assert!(!fixture.router.off(fallback_token));
    assert!(fixture.router.off(other_token));
    assert!(!fixture.dispatch(request).contains(&"fallback".to_owned()));
}

#[test]
fn router_sweep_is_announced_once_until_it_happens() {
    let fixture = Fixture::new();
    assert!(fixture.router.begin_sweep());
    assert!(!fixture.router.begin_sweep());
    fixture.router.sweep();
    assert!(fixture.router.begin_sweep());
}

#[test]
fn cached_renewed_keeps_running_responders() {
    let mut fixture = Fixture::new();
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    fixture.dispatch(r#"{"topic":"number","message":4,"id":1}"#);
    fixture.raw(None, "all");
    fixture.cached.refresh(&fixture.router, None);
    assert_eq!(fixture.cached.responder_calls.len(), 1);
}

#[tokio::test]
async fn subscription_returns_messages_until_it_is_dropped() {
    let (hand_over, mut subscription) = subscription::<Arc<()>>();
    let message = Arc::new(());
    hand_over(Arc::clone(&message), 1);
    assert!(subscription.next().await.is_some());
    hand_over(Arc::clone(&message), 1);
    let as_stream = std::future::poll_fn(|cx| Pin::new(&mut subscription).poll_next(cx));
    assert!(as_stream.await.is_some());
    hand_over(Arc::clone(&message), 1);
    drop(subscription);
    hand_over(Arc::clone(&message), 1);
    assert_eq!(Arc::strong_count(&message), 1);
}
