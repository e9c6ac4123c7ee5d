//! Listeners of a blocking client, which run on its own thread.

use std::sync::{Arc, Mutex};
use std::thread;

use socket_ipc::blocking;

use super::{ADD, Add, DEADLINE, Events, Number, SHORT, Sum, connected, place, quick, serve, test};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // A second panic while unwinding would abort the process.
        if !thread::panicking() {
            panic!("while dropping");
        }
    }
}

#[test]
fn listener_payload_or_capture_panics_in_drop_client_goes_on() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let (mut numbers, errors, handle) = (client.subscribe::<Number>(), Events::new(), client.handle());
        let report = errors.reporter();
        handle.on_error(move |error| report(error.to_string()));
        handle.on::<Number>(|_| std::panic::panic_any(Bomb));
        let bomb = Bomb;
        let owner = handle.on::<Number>(move |_| {
            let _ = &bomb;
        });
        client.connect().unwrap();
        serving.arrivals.next();
        serving.server.broadcast(&Number(1)).unwrap();
        assert_eq!(numbers.next(), Some(Number(1)));
        assert_eq!(errors.next(), "a listener of `number` panicked: (no text)");
        // The connection holds the listener, and may be the last to drop it.
        assert!(handle.off(owner));
        serving.server.broadcast(&Number(2)).unwrap();
        assert_eq!(numbers.next(), Some(Number(2)));
        let mut both = [errors.next(), errors.next()];
        both.sort();
        assert_eq!(
            both,
            ["(no text)", "while dropping"].map(|said| format!("a listener of `number` panicked: {said}"))
        );
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
    });
}

#[test]
fn listener_waits_for_its_own_client_panics_and_is_reported() {
    fn assert_panics<R>(wait: impl Fn(&blocking::Client) -> R + Send + Sync + 'static) {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = Arc::new(connected(&serving, &path));
        let errors = Events::new();
        let report = errors.reporter();
        client.handle().on_error(move |error| report(error.to_string()));
        let weak = Arc::downgrade(&client);
        client.handle().on::<Number>(move |_| {
            if let Some(client) = weak.upgrade() {
                drop(wait(&client));
            }
        });
        serving.server.broadcast(&Number(1)).unwrap();
        let error = errors.next();
        assert!(error.contains("must not wait for the client"), "{error}");
        assert_eq!(client.request_within(&ADD, DEADLINE).unwrap(), Sum(5), "the connection lives");
    }
    test(|| {
        assert_panics(|client| client.connect());
        assert_panics(|client| client.connect_within(SHORT));
        assert_panics(|client| client.send(&Number(1)));
        assert_panics(|client| client.flush());
        assert_panics(|client| client.request(&ADD));
        assert_panics(|client| client.request_raw("double", &1));
        assert_panics(|client| client.subscribe_raw().next());
        assert_panics(|client| client.subscribe_raw().next_within(SHORT));
        assert_panics(|client| client.close());
    });
}

#[test]
fn listener_uses_handle_other_client_and_drops_its_own() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let received = Events::new();
        let report = received.reporter();
        serving.server.on_topic("echo", move |message, _| report(message.as_str().to_owned()));
        let (client, other) = (connected(&serving, &path), connected(&serving, &path));
        let handle = client.handle();
        handle.clone().on::<Number>(move |Number(number)| {
            let Sum(sum) = other.request_within(&Add { left: 1, right: number as i64 }, DEADLINE).unwrap();
            handle.send_raw("echo", &sum).unwrap();
        });
        serving.server.broadcast(&Number(1)).unwrap();
        assert_eq!(received.next(), "2");

        let mut messages = client.subscribe::<Number>();
        let (owner, handle) = (Mutex::new(None), client.handle());
        *owner.lock().unwrap() = Some(client);
        handle.on_topic("end", move |_| drop(owner.lock().unwrap().take()));
        serving.server.broadcast_raw("end", &()).unwrap();
        assert_eq!(messages.next(), None);
    });
}
