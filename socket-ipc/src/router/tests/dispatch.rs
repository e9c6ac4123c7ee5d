//! Which listeners are called, in which order, and how a message is decoded for them.

use std::pin::Pin;

use futures_core::Stream;

use super::*;

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
    let error = format!("7: error decode Number at 1:6: {text}");
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
fn typed_listener_plain_envelope_decodes_in_one_pass() {
    let typed = Typed::<Number, _>::new(|Number(_), _: u64| {});
    assert!(typed.call_one_pass("5}", 7).is_some());
    assert!(typed.call_one_pass("5,\"id\":1}", 7).is_none(), "the envelope has to be read whole");
    let owned = Owned::<Number, _>::new(|Number(_), _, _: u64| CallResult::Done);
    assert!(owned.call_one_pass("5}", 7).is_some());
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
fn router_sweep_is_announced_once_until_it_happens() {
    let fixture = Fixture::new();
    assert!(fixture.router.begin_sweep());
    assert!(!fixture.router.begin_sweep());
    fixture.router.sweep();
    assert!(fixture.router.begin_sweep());
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
