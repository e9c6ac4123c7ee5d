//! Messages as iterators that wait.

use socket_ipc::limits::{SUBSCRIPTION_BYTES, SUBSCRIPTION_LEN};
use socket_ipc::{ClientEvent, TopicSet, blocking};

use super::{DEADLINE, Events, Number, SHORT, Text, place, quick, serve, test};

#[derive(TopicSet, Debug, PartialEq)]
enum Either {
    Number(Number),
    Text(Text),
}

#[derive(TopicSet, Debug, PartialEq)]
enum OnlyText {
    Text(Text),
}

#[test]
fn subscribe_typed_and_raw_yield_in_order_and_end_at_close() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let (mut typed, raw) = (client.subscribe::<Number>(), client.subscribe_raw());
        client.connect().unwrap();
        serving.arrivals.next();
        for number in 0..100 {
            serving.server.broadcast(&Number(number)).unwrap();
            serving.server.broadcast_raw("other", &number).unwrap();
        }
        assert_eq!(typed.next_within(DEADLINE), Ok(Some(Number(0))));
        assert!(typed.by_ref().take(98).eq((1..99).map(Number)));
        assert_eq!(typed.next(), Some(Number(99)));
        let error = typed.next_within(SHORT).unwrap_err();
        assert_eq!(error.to_string(), "no message of `number` within 50ms");
        assert_eq!((error.topic, error.timeout), (Some("number"), SHORT));
        // The messages that arrived before the close are still there.
        client.close();
        let raw: Vec<_> = raw.map(|(topic, message)| format!("{topic} {message}")).collect();
        let expected = (0..100).flat_map(|number| [format!("number {number}"), format!("other {number}")]);
        assert!(raw.iter().cloned().eq(expected), "{raw:?}");
        assert_eq!(typed.next_within(SHORT), Ok(None));
        assert_eq!((typed.next(), typed.next()), (None, None));
    });
}

#[test]
fn subscribe_message_of_other_type_is_reported_and_skipped() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let (mut typed, errors) = (client.subscribe::<Number>(), Events::new());
        let report = errors.reporter();
        client.handle().on_message_error(move |error| report(error.to_string()));
        client.connect().unwrap();
        serving.arrivals.next();
        serving.server.broadcast_raw("number", "none").unwrap();
        serving.server.broadcast(&Number(1)).unwrap();
        assert_eq!(typed.next(), Some(Number(1)));
        assert!(errors.next().contains("Number"));
    });
}

#[test]
fn subscribe_not_read_slows_the_server_and_loses_nothing() {
    const COUNT: usize = 20 * SUBSCRIPTION_LEN;
    fn held_back<M>(
        subscribe: impl Fn(&blocking::Client) -> blocking::Messages<M>,
        number: fn(M) -> Option<Number>,
    ) {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let (mut messages, received) = (subscribe(&client), Events::new());
        let report = received.reporter();
        client.handle().on::<Number>(move |Number(number)| report(number));
        client.connect().unwrap();
        serving.arrivals.next();
        let text = "x".repeat(4096);
        let server = serving.server.handle();
        let sending = serving.runtime.spawn(async move {
            for number in 0..COUNT {
                server.broadcast_async(&Number(number)).await.unwrap();
                server.broadcast_raw("text", &text).unwrap();
            }
        });
        for number in 0..SUBSCRIPTION_LEN / 2 {
            assert_eq!(received.next(), number);
        }
        // Twenty megabytes are more than all buffers together hold.
        assert!(!sending.is_finished());
        assert!(messages.by_ref().filter_map(number).take(COUNT).eq((0..COUNT).map(Number)));
        serving.runtime.block_on(sending).unwrap();
    }
    test(|| {
        held_back(|client| client.subscribe::<Number>(), Some);
        held_back(blocking::Client::subscribe_raw, |(topic, message)| {
            (topic == "number").then(|| message.decode().unwrap())
        });
    });
}

#[test]
fn subscribe_long_messages_is_bounded_in_bytes_and_loses_none() {
    const MIB: usize = 1024 * 1024;
    const COUNT: usize = 2 * SUBSCRIPTION_BYTES / MIB;
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let (mut messages, received) = (client.subscribe_raw(), Events::new());
        let report = received.reporter();
        client.handle().on::<Text>(move |Text(text)| report(text.len()));
        client.connect().unwrap();
        serving.arrivals.next();
        let server = serving.server.handle();
        let sending = serving.runtime.spawn(async move {
            // One MiB with its quotes.
            let text = Text("x".repeat(MIB - 2));
            for _ in 0..COUNT {
                server.broadcast_async(&text).await.unwrap();
            }
        });
        let held = SUBSCRIPTION_BYTES / MIB;
        for _ in 0..held {
            received.next();
        }
        let said = format!("{messages:?}");
        assert!(said.contains(&format!("held: {held},")), "{said}");
        assert!(messages.by_ref().take(COUNT).all(|(_, message)| message.as_str().len() == MIB));
        serving.runtime.block_on(sending).unwrap();
    });
}

#[test]
fn subscribe_set_yields_topics_in_order_and_its_error_names_none() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let mut messages = client.subscribe::<Either>();
        client.connect().unwrap();
        serving.arrivals.next();
        for number in 0..100 {
            serving.server.broadcast(&Number(number)).unwrap();
            serving.server.broadcast(&Text(number.to_string())).unwrap();
        }
        for number in 0..100 {
            assert_eq!(messages.next(), Some(Either::Number(Number(number))));
            assert_eq!(messages.next_within(DEADLINE), Ok(Some(Either::Text(Text(number.to_string())))));
        }
        let error = messages.next_within(SHORT).unwrap_err();
        assert_eq!((error.to_string(), error.topic), ("no message within 50ms".to_owned(), None));
        assert_eq!(client.subscribe::<OnlyText>().next_within(SHORT).unwrap_err().topic, Some("text"));
        client.close();
        assert_eq!(messages.next(), None);
    });
}

#[test]
fn events_have_connections_and_messages_in_order() {
    test(|| {
        let (_directory, path) = place();
        let client = quick(&path).build_blocking();
        let mut events = client.events::<Either>();
        let mut found = Vec::new();
        for round in 0..3 {
            let serving = serve(&path);
            if round == 0 {
                client.connect().unwrap();
            }
            serving.arrivals.next();
            let id = serving.server.clients()[0];
            for number in 0..3 {
                serving.server.send(&Number(number), id).unwrap();
            }
            serving.server.disconnect(id);
            while found.len() < 5 * (round + 1) {
                match events.next().unwrap() {
                    ClientEvent::Connected { again } => found.push(format!("connected, again: {again}")),
                    ClientEvent::Message(message) => found.push(format!("{message:?}")),
                    ClientEvent::Disconnected(reason) => found.push(reason.to_string()),
                    ClientEvent::ConnectFailed(failures) => assert!(failures.attempts > 0),
                    other => panic!("{other:?}"),
                }
            }
            let expected = [
                &*format!("connected, again: {}", round > 0),
                "Number(Number(0))",
                "Number(Number(1))",
                "Number(Number(2))",
                "the peer closed the connection",
            ];
            assert_eq!(found[5 * round..], expected);
            drop(serving);
        }
        client.close();
        for event in events {
            assert!(!matches!(event, ClientEvent::Message(_)), "{event:?}");
        }
    });
}
