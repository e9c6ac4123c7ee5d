//! Who hears what, without a socket.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::error::MessageErrorKind;
use crate::error::error_reply::ErrorReply;
use crate::listener::DropReport;
use crate::wire::raw_message::RawMessage;

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "number", reply = Double)]
struct Number(u64);

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic = "double"]
struct Double(u64);

/// What listeners heard and what was reported, in order.
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

    fn listener_panicked(&self, heard: String, from: u64, panic: String) {
        self.note(format!("{from}: {heard} panicked: {panic}"));
    }

    fn answered(&self, re: &RequestId, topic: &str, envelope: &[u8], from: u64) {
        let len = envelope.len();
        self.note(format!("{from}: reply to {re}: {topic}, {len} bytes"));
    }

    fn refuse(&self, kind: &EnvelopeKind, topic: &str, error_reply: ErrorReply, from: u64) {
        self.note(format!(
            "{from}: {kind:?} of {topic} refused: {} ({})",
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
        let hear = Raw(move |message: RawMessage<'_>, topic: &str, from: u64| {
            log.note(format!("{from}: {name} {topic} {message}"))
        });
        self.router.attach(topic.map_or(Audience::Every, Audience::Topic), Box::new(hear))
    }

    /// An asynchronous listener that is done when polled the second time.
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

    fn hear(&mut self, text: &str) -> Vec<String> {
        let mut held = self.router.dispatch(&mut self.cached, text.as_bytes(), 7, &self.log);
        while let Some(waiting) = &mut held {
            if waiting.poll(&mut Context::from_waker(Waker::noop()), 7, &self.log).is_ready() {
                held = self.router.resume(&mut self.cached, waiting, text.as_bytes(), 7, &self.log);
            }
        }
        self.log.taken()
    }
}

#[test]
fn every_message_comes_first_and_then_the_topic_in_the_order_of_attachment() {
    let mut fixture = Fixture::new();
    fixture.typed("first");
    fixture.raw(Some("number"), "second");
    fixture.raw(None, "all");
    fixture.typed("third");
    let heard = fixture.hear(r#"{"topic":"number","message":5}"#);
    assert_eq!(heard, ["7: all number 5", "7: first 5", "7: second number 5", "7: third 5"]);
}

#[test]
fn an_asynchronous_listener_is_awaited_before_the_next_is_called() {
    let mut fixture = Fixture::new();
    fixture.typed("first");
    fixture.slow("slow");
    fixture.slow("slower");
    fixture.typed("last");
    let heard = fixture.hear(r#"{"message":5,"topic":"number"}"#);
    let order = ["first 5", "slow 5 begins", "slow 5 ends", "slower 5 begins", "slower 5 ends", "last 5"];
    assert_eq!(heard, order.map(|call| format!("7: {call}")));
}

#[test]
fn any_order_of_keys_is_heard_and_the_only_listener_hears_it_once() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    for text in [
        r#"{"topic":"number","message":5}"#,
        r#"{"message":5,"topic":"number"}"#,
        r#"{"topic":"number","seq":1,"message":5,"at":2}"#,
        r#"{"topic":"number","message":5,"seq":1}"#,
        r#" { "topic" : "\u006eumber" , "message" : 5 } "#,
    ] {
        assert_eq!(fixture.hear(text), ["7: only 5"], "{text}");
    }
}

#[test]
fn a_listener_that_cannot_decode_is_one_error_with_the_place_and_the_others_hear() {
    let mut fixture = Fixture::new();
    fixture.typed("first");
    fixture.raw(Some("number"), "raw");
    fixture.slow("second");
    let text = r#"{"topic":"number","message":"five"}"#;
    let error = format!("7: error decode Number at 1:34: {text}");
    assert_eq!(fixture.hear(text), [error.clone(), "7: raw number \"five\"".to_owned(), error]);
}

#[test]
fn an_envelope_that_is_broken_behind_the_message_reaches_no_listener() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    for text in [
        r#"{"topic":"number","message":5"#,
        r#"{"topic":"number","message":5}}"#,
        r#"{"topic":"number","message":5,"topic":"number"}"#,
    ] {
        assert_eq!(fixture.hear(text), [format!("7: error envelope: {text}")]);
    }
}

#[test]
fn a_topic_over_the_limit_is_an_error_with_both_numbers() {
    let mut fixture = Fixture::new();
    fixture.raw(None, "all");
    assert_eq!(fixture.hear(r#"{"topic":"0123456789"}"#), ["7: all 0123456789 null"]);
    let text = r#"{"topic":"0123456789x"}"#;
    assert_eq!(fixture.hear(text), [format!("7: error topic 11 over 10: {text}")]);
}

#[test]
fn a_panic_is_reported_and_the_others_hear() {
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
    let heard = fixture.hear(r#"{"topic":"number","message":5}"#);
    let expected = [
        "7: every message panicked: of all",
        "7: `number` panicked: typed",
        "7: `number` panicked: asynchronous",
        "7: last 5",
    ];
    assert_eq!(heard, expected);
}

#[test]
fn the_only_listener_of_a_topic_that_panics_is_reported_once() {
    let mut fixture = Fixture::new();
    fixture.router.attach(Audience::Topic("number"), Typed::<Number, _>::new(|_, _: u64| panic!("typed")));
    assert_eq!(fixture.hear(r#"{"topic":"number","message":5}"#), ["7: `number` panicked: typed"]);
}

#[test]
fn a_listener_that_removes_another_is_the_last_to_be_called() {
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
    assert_eq!(fixture.hear(r#"{"topic":"number","message":5}"#), ["7: first number 5"]);
}

#[test]
fn a_listener_attached_inside_a_listener_hears_from_the_next_message_on() {
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
    assert_eq!(fixture.hear(r#"{"topic":"number","message":1}"#), [""; 0]);
    assert_eq!(fixture.hear(r#"{"topic":"number","message":2}"#), ["new 2"]);
    assert_eq!(fixture.hear(r#"{"topic":"number","message":3}"#), ["new 3", "new 3"]);
}

#[test]
fn a_closed_router_calls_nobody_and_keeps_nobody() {
    let mut fixture = Fixture::new();
    fixture.typed("before");
    let router = Arc::clone(&fixture.router);
    let closer = Raw(move |_: RawMessage<'_>, _: &str, _: u64| router.close());
    fixture.router.attach(Audience::Every, Box::new(closer));
    assert_eq!(
        fixture.hear(r#"{"topic":"number","message":5}"#),
        [""; 0],
        "the rest of the message's listeners"
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

/// A listener that is refused is dropped without the lock of the table: what it owns may call the router as it goes.
#[test]
fn attach_to_a_closed_router_listener_that_calls_it_as_it_is_dropped_returns() {
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
        let hear = Raw(move |_: RawMessage<'_>, _: &str, _: u64| drop(Arc::clone(&owned.0)));
        router.attach(Audience::Every, Box::new(hear));
        sender.send(()).unwrap();
    });
    done.recv_timeout(std::time::Duration::from_secs(20)).expect("it returns");
}

/// Which of its two ways a message took to a listener.
struct Ways(Log);

impl Listener<u64> for Ways {
    fn call(
        &self,
        _message: &RawMessage<'_>,
        _topic: &str,
        _from: u64,
        _kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        self.0.note("by its envelope");
        Ok(CallResult::Done)
    }

    fn call_one_pass(&self, rest: &str, _from: u64) -> Option<CallResult> {
        self.0.note(format!("in one pass: {rest}"));
        Some(CallResult::Done)
    }
}

#[test]
fn a_message_with_one_listener_and_nothing_unusual_takes_one_pass() {
    let mut fixture = Fixture::new();
    for topic in ["a", "b c", "0123456789", "0123456789+"] {
        fixture.router.attach(Audience::Topic(topic), Box::new(Ways(fixture.log.clone())));
    }
    let one_pass = ["in one pass: 1}"];
    for topic in ["a", "a", "b c", "a", "0123456789", "0123456789"] {
        assert_eq!(fixture.hear(&format!("{{\"topic\":\"{topic}\",\"message\":1}}")), one_pass, "{topic}");
    }
    // A topic over the limit, one that is not written plainly, and keys in another order.
    assert_eq!(
        fixture.hear(r#"{"topic":"0123456789+","message":1}"#),
        [r#"7: error topic 11 over 10: {"topic":"0123456789+","message":1}"#]
    );
    assert_eq!(fixture.hear(r#"{"topic":"\u0061","message":1}"#), ["by its envelope"]);
    assert_eq!(fixture.hear(r#"{"message":1,"topic":"a"}"#), ["by its envelope"]);
    // Where anybody else listens, too, the envelope is read first.
    fixture.raw(None, "all");
    assert_eq!(fixture.hear(r#"{"topic":"a","message":1}"#), ["7: all a 1", "by its envelope"]);
    fixture.router.close();
    assert_eq!(fixture.hear(r#"{"topic":"a","message":1}"#), [""; 0]);
}

#[test]
fn a_closed_router_calls_not_even_the_only_listener() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    assert_eq!(fixture.hear(r#"{"topic":"number","message":1}"#), ["7: only 1"]);
    fixture.router.close();
    assert_eq!(fixture.hear(r#"{"topic":"number","message":2}"#), [""; 0]);
}

#[test]
fn typed_listeners_decode_in_one_pass() {
    let typed = Typed::<Number, _>::new(|Number(_), _: u64| {});
    assert!(typed.call_one_pass("5}", 7).is_some());
    assert!(typed.call_one_pass("5,\"id\":1}", 7).is_none(), "what follows takes a closer look");
    let owned = Owned::<Number, _>::new(|Number(_), _, _: u64| CallResult::Done);
    assert!(owned.call_one_pass("5}", 7).is_some());
}

#[test]
fn off_says_whether_there_was_such_a_listener() {
    let fixture = Fixture::new();
    let (of_topic, of_all) = (fixture.typed("topic"), fixture.raw(None, "all"));
    for listener in [of_topic, of_all] {
        assert!(fixture.router.off(listener));
        assert!(!fixture.router.off(listener));
    }
}

/// A responder that doubles, panics at 13, and leaves even numbers for later.
fn doubling(fixture: &Fixture) -> Box<dyn Listener<u64>> {
    let log = fixture.log.clone();
    Responding::<Number, _>::new(move |Number(n), from: u64, kind| {
        assert_ne!(n, 13, "unlucky");
        log.note(format!("{from}: {kind:?} {n} is {}", 2 * n));
        match n % 2 {
            1 => CallResult::Done,
            _ => CallResult::Responding { wait: Box::pin(async move { assert_ne!(n, 14, "late") }), kind },
        }
    })
}

#[test]
fn a_request_is_heard_by_all_and_answered_by_the_responder_and_an_reply_is_heard_by_nobody() {
    let mut fixture = Fixture::new();
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    assert_eq!(fixture.hear(r#"{"topic":"number","message":5,"id":1}"#), ["7: Request(1) 5 is 10"]);
    assert_eq!(fixture.hear(r#"{"id":1,"message":5,"topic":"number"}"#), ["7: Request(1) 5 is 10"]);
    assert_eq!(fixture.hear(r#"{"topic":"number","message":5}"#), ["7: Message 5 is 10"]);
    assert_eq!(fixture.hear(r#"{"topic":"number","message":5,"re":1}"#), ["7: reply to 1: number, 37 bytes"]);
    fixture.raw(None, "all");
    fixture.typed("typed");
    let heard = fixture.hear(r#"{"topic":"number","message":5,"id":2}"#);
    assert_eq!(heard, ["7: all number 5", "7: Request(2) 5 is 10", "7: typed 5"]);
    assert_eq!(fixture.hear(r#"{"topic":"number","message":5,"re":2}"#), ["7: reply to 2: number, 37 bytes"]);
}

#[test]
fn whoever_asks_is_told_why_there_is_no_reply() {
    let mut fixture = Fixture::new();
    let refused = |fixture: &mut Fixture, text| {
        let heard = fixture.hear(text);
        heard.into_iter().filter(|line| line.contains("refused")).collect::<Vec<_>>()
    };
    let nobody = "7: Request(1) of number refused: nobody responds to `number` (no_responder)";
    assert_eq!(refused(&mut fixture, r#"{"topic":"number","message":5,"id":1}"#), [nobody]);
    fixture.typed("a listener is no responder");
    assert_eq!(refused(&mut fixture, r#"{"topic":"number","message":5,"id":1}"#), [nobody]);
    let responder = ListenerId::next();
    fixture.router.attach_as(responder, "number", doubling(&fixture)).unwrap();
    let undecodable = refused(&mut fixture, r#"{"topic":"number","message":"five","id":1}"#);
    assert!(
        undecodable[0].ends_with("(undecodable)") && undecodable[0].contains("expected u64"),
        "{undecodable:?}"
    );
    let panicked = "7: Request(1) of number refused: the responder of `number` panicked (panicked)";
    assert_eq!(refused(&mut fixture, r#"{"topic":"number","message":13,"id":1}"#), [panicked]);
    // A message without a number may be a request of somebody who knows of none.
    let panicked = "7: Message of number refused: the responder of `number` panicked (panicked)";
    assert_eq!(refused(&mut fixture, r#"{"topic":"number","message":13}"#), [panicked]);
    assert!(fixture.router.off(responder));
    assert_eq!(refused(&mut fixture, r#"{"topic":"number","message":5,"id":1}"#), [nobody]);
}

#[test]
fn a_responder_alone_that_panics_refuses_too_and_one_at_work_does_so_later() {
    let mut fixture = Fixture::new();
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    let heard = fixture.hear(r#"{"topic":"number","message":13,"id":3}"#);
    assert!(heard[0].starts_with("7: `number` panicked") && heard[1].ends_with("(panicked)"), "{heard:?}");
    for (text, begun) in
        [(r#"{"topic":"number","message":14,"id":4}"#, 1), (r#"{"id":5,"topic":"number","message":4}"#, 2)]
    {
        fixture.hear(text);
        assert_eq!(fixture.cached.responder_calls.len(), begun, "nothing waits for it");
    }
    let mut cx = Context::from_waker(Waker::noop());
    let results: Vec<_> = fixture
        .cached
        .responder_calls
        .iter_mut()
        .map(|call| call.poll(&mut cx, 7, &fixture.log).is_ready())
        .collect();
    assert_eq!(results, [true, true]);
    let heard = fixture.log.taken();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[1].starts_with("7: Request(4) of number refused"), "{heard:?}");
}

#[test]
fn a_topic_has_one_responder_and_the_second_is_told_of_the_first() {
    let fixture = Fixture::new();
    let first = ListenerId::next();
    fixture.router.attach_as(first, "number", doubling(&fixture)).unwrap();
    let raw = RespondingRaw::new("double".into(), |_: RawMessage<'_>, _: u64, _| CallResult::Done);
    let error = fixture.router.attach_as(ListenerId::next(), "number", raw).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("`RawMessage` can't respond to `number`: `socket_ipc::router::tests::Number` does"),
        "{text}"
    );
    let listener = Typed::<Number, _>::new(|_: Number, _: u64| {});
    fixture.router.attach_as(ListenerId::next(), "number", listener).unwrap();
    assert!(fixture.router.off(first));
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
}

#[test]
fn what_nobody_hears_is_unheard_whatever_listeners_of_every_message_do() {
    let mut fixture = Fixture::new();
    let log = fixture.log.clone();
    let fallback = Raw(move |message: RawMessage<'_>, topic: &str, _: u64| {
        log.note(format!("fallback {topic} {message}"))
    });
    let fallback = fixture.router.attach(Audience::Fallback, Box::new(fallback));
    fixture.raw(None, "all");
    assert_eq!(fixture.hear(r#"{"topic":"number","message":1}"#), ["7: all number 1", "fallback number 1"]);
    let listener = fixture.raw(Some("number"), "raw");
    assert_eq!(fixture.hear(r#"{"topic":"number","message":2}"#), ["7: all number 2", "7: raw number 2"]);
    fixture.router.off(listener);
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    assert_eq!(fixture.hear(r#"{"topic":"number","message":3}"#), ["7: all number 3", "7: Message 3 is 6"]);
    assert_eq!(fixture.hear(r#"{"topic":"other","message":4}"#), ["7: all other 4", "fallback other 4"]);
    assert!(fixture.router.off(fallback));
    assert_eq!(fixture.hear(r#"{"topic":"other","message":5}"#), ["7: all other 5"]);
}

#[test]
fn one_name_may_be_that_of_several_listeners_and_removes_them_all() {
    let mut fixture = Fixture::new();
    let name = ListenerId::next();
    let listener =
        |log: Log| Typed::<Number, _>::new(move |Number(n), from: u64| log.note(format!("{from}: {n}")));
    fixture.router.attach_as(name, "number", listener(fixture.log.clone())).unwrap();
    fixture.router.attach_as(name, "count", listener(fixture.log.clone())).unwrap();
    fixture.typed("stays");
    assert_eq!(fixture.hear(r#"{"topic":"count","message":1}"#), ["7: 1"]);
    assert!(fixture.router.off(name));
    assert!(!fixture.router.off(name));
    assert_eq!(fixture.hear(r#"{"topic":"count","message":1}"#), [""; 0]);
    assert_eq!(fixture.hear(r#"{"topic":"number","message":1}"#), ["7: stays 1"]);
}

#[test]
fn off_is_a_look_up_however_many_topics_have_listeners() {
    let cost = |topics: usize| {
        let fixture = Fixture::new();
        let listeners: Vec<_> =
            (0..topics).map(|number| fixture.raw(Some(&format!("topic {number}")), "raw")).collect();
        // What a connection holds, so that the table can't be changed in place.
        let mut connection = fixture.router.cached();
        let mut costs: Vec<_> = (0..200)
            .map(|number| {
                let begun = std::time::Instant::now();
                assert!(fixture.router.off(listeners[number * topics / 200]));
                let cost = begun.elapsed();
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
fn topics_many_are_found_whatever_was_attached_and_removed() {
    let mut fixture = Fixture::new();
    let name = |number: usize| format!("topic {number}");
    let listeners: Vec<_> = (0..1_000).map(|number| fixture.raw(Some(&name(number)), "raw")).collect();
    for (number, listener) in listeners.iter().enumerate().filter(|(number, _)| number % 3 == 0) {
        assert!(fixture.router.off(*listener), "{number}");
    }
    for number in 0..1_000 {
        let heard = fixture.hear(&format!("{{\"topic\":\"{}\",\"message\":1}}", name(number)));
        assert_eq!(heard.is_empty(), number % 3 == 0, "{number}: {heard:?}");
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
