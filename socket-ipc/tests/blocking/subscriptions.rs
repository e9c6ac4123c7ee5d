//! Messages as iterators that wait.

use socket_ipc::blocking;
use socket_ipc::limits::{SUBSCRIPTION_BYTES, SUBSCRIPTION_LEN};

use super::{DEADLINE, Events, Number, SHORT, Text, place, quick, serve, test};

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
