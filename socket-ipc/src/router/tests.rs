//! Who hears what, without a socket.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::error::MessageErrorKind;
use crate::raw_message::RawMessage;

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

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
}

struct Fixture {
    router: Arc<Router<u64>>,
    log: Log,
    cached: Cached<u64>,
}

impl Fixture {
    fn new() -> Self {
        let router = Arc::new(Router::new(Wire::JSON_LINES, 10, 64));
        Self { cached: router.cached(), log: Log::default(), router }
    }

    fn typed(&self, name: &'static str) -> Listener {
        let log = self.log.clone();
        self.router.attach(
            Some("number"),
            Typed::<Number, _>::new(move |Number(n), from: u64| log.note(format!("{from}: {name} {n}"))),
        )
    }

    fn raw(&self, topic: Option<&str>, name: &'static str) -> Listener {
        let log = self.log.clone();
        let hear = Raw(move |message: RawMessage<'_>, topic: &str, from: u64| {
            log.note(format!("{from}: {name} {topic} {message}"))
        });
        self.router.attach(topic, Box::new(hear))
    }

    /// An asynchronous listener that is done when polled the second time.
    fn slow(&self, name: &'static str) -> Listener {
        let log = self.log.clone();
        self.router.attach(
            Some("number"),
            Owned::<Number, _>::new(move |Number(n), from: u64| {
                let log = log.clone();
                log.note(format!("{from}: {name} {n} begins"));
                let mut polled = false;
                Heard::Wait(Box::pin(async move {
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
                held = self.router.resume(waiting, text.as_bytes(), 7, &self.log);
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
        r#"{"topic":"number","id":1,"message":5,"re":2}"#,
        r#"{"topic":"number","message":5,"id":1}"#,
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
    fixture.router.attach(None, Box::new(Raw(|_: RawMessage<'_>, _: &str, _: u64| panic!("of all"))));
    fixture.router.attach(Some("number"), Typed::<Number, _>::new(|_, _: u64| panic!("{}", "typed")));
    fixture.router.attach(
        Some("number"),
        Owned::<Number, _>::new(|_, _: u64| Heard::Wait(Box::pin(async { panic!("asynchronous") }))),
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
    fixture.router.attach(Some("number"), Typed::<Number, _>::new(|_, _: u64| panic!("typed")));
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
        Some("number"),
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
        None,
        Box::new(Raw(move |_: RawMessage<'_>, _: &str, _: u64| {
            let log = log.clone();
            router.attach(
                Some("number"),
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
    fixture.router.attach(None, Box::new(closer));
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
    fixture.router.attach(None, owner(&kept));
    assert_eq!(Arc::strong_count(&kept), 2);
    fixture.router.clear();
    assert_eq!(Arc::strong_count(&kept), 1, "a listener of a closed router is not kept");
    fixture.router.attach(None, owner(&kept));
    assert_eq!(Arc::strong_count(&kept), 1, "nor is one attached afterwards");
}

/// Which of its two ways a message took to a listener.
struct Ways(Log);

impl Hear<u64> for Ways {
    fn hear(&self, _text: &str, _topic: &str, _from: u64) -> Result<Heard, serde_json::Error> {
        self.0.note("by its envelope");
        Ok(Heard::Done)
    }

    fn hear_one_pass(&self, rest: &str, _from: u64) -> Option<Heard> {
        self.0.note(format!("in one pass: {rest}"));
        Some(Heard::Done)
    }
}

#[test]
fn a_message_with_one_listener_and_nothing_unusual_takes_one_pass() {
    let mut fixture = Fixture::new();
    for topic in ["a", "b c", "0123456789", "0123456789+"] {
        fixture.router.attach(Some(topic), Box::new(Ways(fixture.log.clone())));
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
    assert!(typed.hear_one_pass("5}", 7).is_some());
    assert!(typed.hear_one_pass("5,\"id\":1}", 7).is_none(), "what follows takes a closer look");
    let owned = Owned::<Number, _>::new(|Number(_), _: u64| Heard::Done);
    assert!(owned.hear_one_pass("5}", 7).is_some());
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
