//! Requests and the responders of their topics.

use super::*;

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
fn cached_renewed_keeps_running_responders() {
    let mut fixture = Fixture::new();
    fixture.router.attach_as(ListenerId::next(), "number", doubling(&fixture)).unwrap();
    fixture.dispatch(r#"{"topic":"number","message":4,"id":1}"#);
    fixture.raw(None, "all");
    fixture.cached.refresh(&fixture.router, None);
    assert_eq!(fixture.cached.responder_calls.len(), 1);
}
