//! Listeners and responders that panic: as they are called, as they are dropped, as a message is decoded.

use super::*;

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

/// Panics as it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in drop");
    }
}

/// A future that never ends and panics as it is dropped.
fn panics_in_drop() -> super::super::listener::Wait {
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
