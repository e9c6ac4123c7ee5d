//! Connecting, sending and requesting, and the errors of these calls.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socket_ipc::{Client, ConnectError, Protocol, RequestError, SendError, ToClient, ToServer, blocking};

use super::{
    ADD, Add, DEADLINE, Events, Number, SHORT, Sum, Text, Wait, connected, place, quick, serve, serve_echo,
    test,
};

#[test]
fn client_send_and_request_reach_the_server() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let received = Events::new();
        let report = received.reporter();
        serving.server.on_message(move |message, topic, _| report(format!("{topic} {message}")));
        let client = blocking::Client::new(&path);
        assert!(!client.is_connected());
        client.connect().unwrap();
        assert!(client.is_connected());
        client.send(&Number(1)).unwrap();
        client.send_raw("", &[1, 2]).unwrap();
        client.flush().unwrap();
        assert_eq!(received.next(), "number 1");
        assert_eq!(received.next(), "none [1,2]");
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
        assert_eq!(client.request_within(&ADD, DEADLINE).unwrap(), Sum(5));
        assert_eq!(client.request_raw("double", &21).unwrap().as_str(), "42");
        assert_eq!(client.request_raw_within("double", &21, DEADLINE).unwrap().as_str(), "42");
        for text in ["add", "add", "double", "double"] {
            assert!(received.next().starts_with(text));
        }
        // The queued messages are written before the close.
        for number in 0..1000 {
            client.send(&Number(number)).unwrap();
        }
        client.close();
        client.close();
        for number in 0..1000 {
            assert_eq!(received.next(), format!("number {number}"));
        }
        assert!(!client.is_connected());
        assert!(matches!(client.send(&Number(1)), Err(SendError::Closed { .. })));
        assert!(matches!(client.connect(), Err(ConnectError::Closed { .. })));
        assert_eq!(client.flush().unwrap_err().path, path);
        assert!(format!("{client:?}").contains("test.sock"), "{client:?}");
    });
}

#[test]
fn connect_before_server_waits_for_it() {
    test(|| {
        let (_directory, path) = place();
        let client = quick(&path).build_blocking();
        let failures = Events::new();
        let report = failures.reporter();
        client.handle().on_connect_error(move |error| report(error.to_string()));
        thread::scope(|scope| {
            let connecting = scope.spawn(|| client.connect());
            failures.next();
            assert!(failures.next().contains("cannot connect"));
            let serving = serve(&path);
            connecting.join().unwrap().unwrap();
            serving.arrivals.next();
            assert_eq!(client.request(&ADD).unwrap(), Sum(5));
        });
    });
}

#[test]
fn connect_within_deadline_passes_returns_error_and_can_be_repeated() {
    test(|| {
        let (_directory, path) = place();
        let client = quick(&path).build_blocking();
        // Enough for an attempt to fail.
        let time = 10 * SHORT;
        let started = Instant::now();
        let error = client.connect_within(time).unwrap_err();
        assert!(started.elapsed() >= time);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot connect to {}: no connection within 500ms (No such file or directory (os error 2))",
                path.display()
            )
        );
        let ConnectError::DeadlineExceeded { path: named, timeout, cause: Some(source) } = error else {
            panic!("{error:?}")
        };
        assert_eq!((named, timeout), (path.clone(), time));
        assert!(
            matches!(&*source, ConnectError::Io { cause: source, .. } if source.kind() == std::io::ErrorKind::NotFound)
        );
        let serving = serve(&path);
        client.connect_within(DEADLINE).unwrap();
        serving.arrivals.next();
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
        let again = client.connect_within(SHORT);
        assert!(matches!(again, Err(ConnectError::AlreadyConnecting { .. })), "{again:?}");

        let stuck = Client::builder("nowhere")
            .connector(std::future::pending::<std::io::Result<tokio::io::DuplexStream>>)
            .build_blocking();
        let error = stuck.connect_within(SHORT);
        assert!(matches!(error, Err(ConnectError::DeadlineExceeded { cause: None, .. })), "{error:?}");
        // `close` does not wait for the attempt.
        stuck.close();
    });
}

#[test]
fn connect_impossible_returns_its_own_error() {
    test(|| {
        let invalid = blocking::Client::new("");
        assert!(matches!(invalid.connect(), Err(ConnectError::InvalidPath { .. })));
        let (_directory, path) = place();
        let client = quick(&path).give_up_after(2).build_blocking();
        let mut messages = client.subscribe::<Number>();
        assert!(matches!(client.connect(), Err(ConnectError::GaveUp { attempts: 2, .. })));
        assert_eq!(messages.next(), None);
        let closed = blocking::Client::new(&path);
        closed.close();
        assert!(matches!(closed.connect(), Err(ConnectError::Closed { .. })));
        assert!(matches!(closed.connect_within(SHORT), Err(ConnectError::Closed { .. })));
        // A panic of the user's connector reaches the caller.
        let broken = Client::builder("nowhere")
            .connector(|| -> std::future::Ready<std::io::Result<tokio::io::DuplexStream>> {
                panic!("on purpose")
            })
            .build_blocking();
        let panic = thread::spawn(move || broken.connect()).join().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    });
}

#[test]
fn request_fails_in_any_way_returns_its_own_error() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).request_timeout(DEADLINE).build_blocking();
        let error = client.request(&ADD).unwrap_err();
        assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })), "{error}");
        client.connect().unwrap();
        let error = client.request(&Add { left: i64::MAX, right: 1 }).unwrap_err();
        assert!(
            matches!(&error, RequestError::Rejected { reply, .. } if reply.text() == "too much"),
            "{error}"
        );
        let error = client.request_raw("missing", &1).unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error}");
        let error = client.request_raw("add", &1).unwrap_err();
        assert!(matches!(error, RequestError::RequestUndecodable { .. }), "{error}");
        let error = client.request_raw("panic", &1).unwrap_err();
        assert!(matches!(error, RequestError::ResponderPanicked { .. }), "{error}");
        let hasty = quick(&path).request_timeout(SHORT).build_blocking();
        hasty.connect().unwrap();
        let started = Instant::now();
        let error = hasty.request(&Wait).unwrap_err();
        assert_eq!(error.to_string(), "no reply to `wait` within 50ms");
        assert!(started.elapsed() >= SHORT);
        let error = client.request_raw_within("wait", &(), Duration::ZERO).unwrap_err();
        assert!(matches!(error, RequestError::Timeout { timeout: Duration::ZERO, .. }), "{error}");
        // None of them ended the connection.
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
        assert_eq!(hasty.request_within(&ADD, DEADLINE).unwrap(), Sum(5));

        let (requests, all) = (Events::new(), Duration::MAX);
        let report = requests.reporter();
        serving.server.on_topic("wait", move |_, _| report(()));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| client.request_within(&Wait, all));
            requests.next();
            drop(serving);
            let error = waiting.join().unwrap().unwrap_err();
            assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error}");
        });
    });
}

#[test]
fn send_slow_server_waits_and_loses_nothing() {
    const COUNT: usize = 256;
    test(|| {
        let (_directory, path) = place();
        let listener = UnixListener::bind(&path).unwrap();
        // A send that does not wait would find the outbox full.
        let client = Client::builder(&path).outbox_len(128 * 1024).build_blocking();
        client.connect().unwrap();
        let (connection, _) = listener.accept().unwrap();
        let text = Text("x".repeat(50 * 1024));
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for _ in 0..COUNT {
                    client.send(&text).unwrap();
                }
                client.flush().unwrap();
            });
            let mut lines = BufReader::new(connection).lines();
            assert!(lines.next().unwrap().unwrap().len() > text.0.len());
            assert!(!sending.is_finished(), "twelve megabytes are not sent before they are read");
            assert_eq!(lines.by_ref().take(COUNT - 1).filter(|line| line.is_ok()).count(), COUNT - 1);
            sending.join().unwrap();
        });
    });
}

#[test]
fn send_server_never_reads_returns_not_connected() {
    test(|| {
        let (_directory, path) = place();
        let listener = UnixListener::bind(&path).unwrap();
        let client = Client::builder(&path).write_stall(SHORT).reconnect_delay(DEADLINE).build_blocking();
        client.connect().unwrap();
        let _connection = listener.accept().unwrap();
        let text = Text("x".repeat(64 * 1024));
        let error = loop {
            match client.send(&text) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, SendError::NotConnected { .. }), "{error}");
        assert!(client.flush().is_err());
    });
}

#[test]
fn client_server_restarts_reconnects() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = quick(&path).build_blocking();
        let (states, mut messages) = (Events::new(), client.subscribe::<Number>());
        let (gone, back) = (states.reporter(), states.reporter());
        client.handle().on_disconnect(move |_| gone("gone"));
        client.handle().on_reconnect(move || back("back"));
        client.connect().unwrap();
        serving.arrivals.next();
        serving.server.broadcast(&Number(1)).unwrap();
        assert_eq!(messages.next(), Some(Number(1)));
        drop(serving);
        assert_eq!(states.next(), "gone");
        assert!(matches!(client.send(&Number(1)), Err(SendError::NotConnected { .. })));
        assert!(matches!(client.request(&ADD), Err(RequestError::Send(SendError::NotConnected { .. }))));
        assert!(client.flush().is_err());
        assert!(messages.next_within(Duration::ZERO).is_err(), "it has not ended");
        let serving = serve(&path);
        assert_eq!(states.next(), "back");
        serving.arrivals.next();
        serving.server.broadcast(&Number(2)).unwrap();
        assert_eq!(messages.next(), Some(Number(2)));
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
    });
}

#[test]
fn client_shared_by_threads_each_gets_its_own_reply() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let (client, received) = (connected(&serving, &path), Events::new());
        let report = received.reporter();
        serving.server.on::<Number>(move |Number(number), _| report(number));
        thread::scope(|scope| {
            for thread in 0..8 {
                let client = &client;
                scope.spawn(move || {
                    for number in 0..200 {
                        client.send(&Number(1000 * thread + number)).unwrap();
                        let (left, right) = (thread as i64, number as i64);
                        let sum = client.request_within(&Add { left: 1000 * left, right }, DEADLINE);
                        assert_eq!(sum.unwrap(), Sum(1000 * left + right));
                    }
                });
            }
        });
        let mut next = [0; 8];
        for _ in 0..8 * 200 {
            let number = received.next();
            assert_eq!(number % 1000, next[number / 1000], "each in its order");
            next[number / 1000] += 1;
        }
        // A shared client whose last owner is a thread.
        let client = Arc::new(client);
        let requesting = { Arc::clone(&client) };
        drop(client);
        thread::spawn(move || assert_eq!(requesting.request(&ADD).unwrap(), Sum(5))).join().unwrap();
    });
}

/// The protocol of two programs.
enum Sums {}

impl Protocol for Sums {
    const NAME: &'static str = "Sums";
}

impl ToServer<Add> for Sums {}
impl ToServer<Number> for Sums {}
impl ToClient<Sum> for Sums {}
impl ToClient<Number> for Sums {}

#[test]
fn client_of_protocol_sends_and_requests() {
    test(|| {
        let (_directory, path) = place();
        let _serving = serve_echo(&path);
        let client: blocking::Client<Sums> = Sums::client(&path).build_blocking();
        let mut numbers = client.subscribe::<Number>();
        client.connect().unwrap();
        client.send(&Number(7)).unwrap();
        assert_eq!(numbers.next(), Some(Number(7)));
        assert_eq!(client.request(&ADD).unwrap(), Sum(5));
    });
}
