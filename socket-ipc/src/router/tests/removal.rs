//! Listeners that are attached and removed, also while messages are dispatched, and the close of a router.

use super::*;

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

#[test]
fn router_closed_does_not_call_only_listener() {
    let mut fixture = Fixture::new();
    fixture.typed("only");
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":1}"#), ["7: only 1"]);
    fixture.router.close();
    assert_eq!(fixture.dispatch(r#"{"topic":"number","message":2}"#), [""; 0]);
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
