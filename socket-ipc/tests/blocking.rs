//! The blocking client on real sockets: from threads, and from inside runtimes.

// Clippy takes only the test functions for tests, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket_ipc::limits::{SUBSCRIPTION_BYTES, SUBSCRIPTION_LEN};
use socket_ipc::{
    Client, ClientHandle, ConnectError, ErrorReply, Protocol, RequestError, SendError, Server, ToClient,
    ToServer, Topic, blocking,
};
use tokio::runtime::{Builder, Runtime};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "number"]
struct Number(usize);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "text"]
struct Text(String);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "sum"]
struct Sum(i64);

/// A request that gets no reply while its server lives.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = Sum)]
struct Wait;

const ADD: Add = Add { left: 2, right: 3 };

/// How long a wait may take before the test fails. Only a failure reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The deadline of waits that should time out.
const SHORT: Duration = Duration::from_millis(50);

/// Runs a test on a thread of its own, and fails it if it hangs.
fn test(body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let running = thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match ended.recv_timeout(DEADLINE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // It has succeeded or panicked.
        _ => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// The reports of listeners, in their order.
struct Events<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T: Send + 'static> Events<T> {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }

    fn reporter(&self) -> impl Fn(T) + Clone + Send + Sync + 'static {
        let sender = self.sender.clone();
        move |event| drop(sender.send(event))
    }

    fn next(&self) -> T {
        self.receiver.recv_timeout(DEADLINE).unwrap()
    }
}

/// A server on a runtime of its own.
struct Serving {
    server: Server,
    arrivals: Events<()>,
    /// Dropped after the server.
    runtime: Runtime,
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("sipc").tempdir().unwrap();
    let path = directory.path().join("test.sock");
    (directory, path)
}

/// Serves at `path`: adds, doubles, sends error replies, panics, and leaves some requests without a reply.
fn serve(path: &Path) -> Serving {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (server, arrivals) = (Server::new(path), Events::new());
    let arrived = arrivals.reporter();
    server.on_connection(move |_| arrived(()));
    server
        .respond::<Add>(|Add { left, right }, _| left.checked_add(right).map(Sum).ok_or("too much"))
        .unwrap();
    server.respond_async::<Wait>(|Wait, _| std::future::pending::<Sum>()).unwrap();
    server.respond_raw("double", Some("doubled"), |number, _| Ok(2 * number.decode::<i64>()?)).unwrap();
    server.respond_raw("panic", Some(""), |_, _| -> Result<(), ErrorReply> { panic!("on purpose") }).unwrap();
    runtime.block_on(server.listen()).unwrap();
    Serving { server, arrivals, runtime }
}

fn quick(path: &Path) -> socket_ipc::ClientBuilder {
    let delay = Duration::from_millis(10);
    Client::builder(path).retry_delay(delay).reconnect_delay(delay)
}

/// A client that is connected and that the server has accepted.
fn connected(serving: &Serving, path: &Path) -> blocking::Client {
    let client = quick(path).build_blocking();
    client.connect().unwrap();
    serving.arrivals.next();
    client
}

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
        assert!(matches!(client.connect_within(DEADLINE), Err(ConnectError::GaveUp { attempts: 2, .. })));
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
fn close_ends_every_wait_of_other_threads() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = connected(&serving, &path);
        let (mut typed, mut raw) = (client.subscribe::<Number>(), client.subscribe_raw());
        let requests = Events::new();
        let report = requests.reporter();
        serving.server.on_topic("wait", move |_, _| report(()));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| client.request_within(&Wait, Duration::MAX));
            let typed = scope.spawn(move || (typed.next(), typed.next()));
            let raw = scope.spawn(move || raw.next_within(DEADLINE));
            requests.next();
            client.close();
            assert!(matches!(waiting.join().unwrap(), Err(RequestError::ConnectionLost { .. })));
            assert_eq!(typed.join().unwrap(), (None, None));
            assert!(raw.join().unwrap().unwrap().is_none());
        });
        let mut late = client.subscribe::<Number>();
        assert_eq!(late.next(), None);

        // A client that is not connected yet, closed by a handle.
        let (_directory, path) = place();
        let client = quick(&path).build_blocking();
        let failures = Events::new();
        let report = failures.reporter();
        client.handle().on_connect_error(move |_| report(()));
        thread::scope(|scope| {
            let connecting = scope.spawn(|| client.connect());
            failures.next();
            drop(client.handle().close());
            assert!(matches!(connecting.join().unwrap(), Err(ConnectError::Closed { .. })));
        });
    });
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

#[test]
fn client_dropped_after_its_last_send_loses_nothing() {
    test(|| {
        let (_directory, path) = place();
        let (serving, received) = (serve(&path), Events::new());
        let report = received.reporter();
        serving.server.on::<Number>(move |Number(number), _| report(number));
        for round in 0..30 {
            // One message, written at once, and more than the socket takes at once.
            for count in [1, 1_000] {
                let client = blocking::Client::new(&path);
                client.connect().unwrap();
                for number in 0..count {
                    client.send(&Number(number)).unwrap();
                }
                drop(client);
                for number in 0..count {
                    let next = received.receiver.recv_timeout(Duration::from_secs(10));
                    assert_eq!(next, Ok(number), "in round {round}, of {count}");
                }
            }
        }
    });
}

#[test]
fn client_dropped_server_reads_nothing_waits_for_the_drain() {
    test(|| {
        let (_directory, path) = place();
        let _listener = UnixListener::bind(&path).unwrap();
        let client = Client::builder(&path).drain(SHORT).build_blocking();
        client.connect().unwrap();
        for _ in 0..10 {
            client.handle().send(&Text("x".repeat(500_000))).unwrap();
        }
        let started = Instant::now();
        drop(client);
        assert!(started.elapsed() >= SHORT, "it does not wait for what is queued");
        assert!(started.elapsed() < Duration::from_secs(5), "it waits longer than it may");
    });
}

#[test]
fn client_dropped_ends_waiting_iterators_and_does_not_wait() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        let client = connected(&serving, &path);
        let (mut typed, mut raw) = (client.subscribe::<Number>(), client.subscribe_raw());
        let waiting =
            [thread::spawn(move || typed.next().is_none()), thread::spawn(move || raw.next().is_none())];
        drop(client);
        assert!(waiting.map(|waiting| waiting.join().unwrap()).iter().all(|ended| *ended));

        // The drop does not wait for a listener that blocks the thread of the client.
        let client = connected(&serving, &path);
        let (free, stuck) = mpsc::channel::<()>();
        let (stuck, started) = (Mutex::new(stuck), Events::new());
        let report = started.reporter();
        client.handle().on::<Number>(move |_| {
            report(());
            let _ = stuck.lock().unwrap().recv();
        });
        serving.server.broadcast(&Number(1)).unwrap();
        started.next();
        let handle = client.handle();
        drop(client);
        assert!(matches!(handle.send(&Number(1)), Err(SendError::Closed { .. })));
        drop(free);
    });
}

thread_local! {
    /// Reports the end of its thread.
    static DROP_REPORTER: RefCell<Option<DropReporter>> = const { RefCell::new(None) };
}

struct DropReporter(Box<dyn Fn(())>);

impl Drop for DropReporter {
    fn drop(&mut self) {
        self.0(());
    }
}

#[test]
fn client_closed_or_dropped_ends_its_thread() {
    test(|| {
        let (_directory, path) = place();
        let serving = serve(&path);
        for end in [|client: &blocking::Client| client.close(), |_: &blocking::Client| ()] {
            let client = quick(&path).build_blocking();
            let (ended, names) = (Events::new(), Events::new());
            let (report, name) = (ended.reporter(), names.reporter());
            client.handle().on_connect(move || {
                name(thread::current().name().map(str::to_owned));
                let report = report.clone();
                DROP_REPORTER.set(Some(DropReporter(Box::new(report))));
            });
            client.connect().unwrap();
            serving.arrivals.next();
            assert_eq!(names.next().as_deref(), Some("socket-ipc"));
            let (messages, handle) = (client.subscribe_raw(), client.handle());
            end(&client);
            if client.is_connected() {
                drop(client);
            }
            ended.next();
            // Its messages and handles keep no thread.
            assert_eq!(messages.count(), 0);
            assert!(handle.send(&Number(1)).is_err());
        }
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

/// Every call that waits, on the calling thread.
fn everything(path: &Path) {
    let client = quick(path).build_blocking();
    let mut messages = client.subscribe::<Number>();
    client.connect_within(DEADLINE).unwrap();
    // More than tokio's budget of a task.
    for number in 0..500 {
        client.send(&Number(number)).unwrap();
        assert_eq!(client.request_within(&ADD, DEADLINE).unwrap(), Sum(5));
        assert_eq!(messages.next(), Some(Number(number)));
    }
    client.flush().unwrap();
    assert!(messages.next_within(SHORT).is_err());
    assert!(matches!(client.request_within(&Wait, SHORT), Err(RequestError::Timeout { .. })));
    client.close();
    assert_eq!(messages.next(), None);
    drop(client);
    // A client that is dropped without a close.
    let client = blocking::Client::new(path);
    client.connect().unwrap();
    assert_eq!(client.request_within(&ADD, DEADLINE).unwrap(), Sum(5));
}

/// A server that sends every number back.
fn serve_echo(path: &Path) -> Serving {
    let serving = serve(path);
    let reply = serving.server.handle();
    serving.server.on::<Number>(move |number, client_id| reply.send(&number, client_id).unwrap());
    serving
}

fn both_flavours(run: impl Fn(Runtime, PathBuf)) {
    let (_directory, path) = place();
    let _serving = serve_echo(&path);
    run(Builder::new_current_thread().enable_all().build().unwrap(), path.clone());
    run(Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(), path);
}

#[test]
fn client_inside_block_on_works() {
    test(|| {
        both_flavours(|runtime, path| runtime.block_on(async { everything(&path) }));
        // In a runtime without sockets and time.
        let (_directory, path) = place();
        let _serving = serve_echo(&path);
        Builder::new_current_thread().build().unwrap().block_on(async { everything(&path) });
    });
}

#[test]
fn client_inside_a_task_works() {
    test(|| {
        both_flavours(|runtime, path| {
            runtime.block_on(runtime.spawn(async move { everything(&path) })).unwrap();
        });
    });
}

#[test]
fn client_inside_spawn_blocking_works() {
    test(|| {
        both_flavours(|runtime, path| {
            runtime.block_on(runtime.spawn_blocking(move || everything(&path))).unwrap();
        });
    });
}

#[test]
fn client_inside_spawn_blocking_reaches_server_of_the_runtime() {
    test(|| {
        for mut flavour in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = flavour.worker_threads(1).enable_all().build().unwrap();
            let (_directory, path) = place();
            runtime.block_on(async {
                let server = Server::new(&path);
                server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
                server.listen().await.unwrap();
                let requesting = tokio::task::spawn_blocking(move || {
                    let client = blocking::Client::new(&path);
                    client.connect().unwrap();
                    client.request_within(&ADD, DEADLINE).unwrap()
                });
                assert_eq!(requesting.await.unwrap(), Sum(5));
            });
        }
    });
}

#[test]
fn client_on_thread_of_its_server_times_out_and_does_not_hang() {
    test(|| {
        let (_directory, path) = place();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(&path);
            server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
            server.listen().await.unwrap();
            let client = Client::builder(&path).request_timeout(SHORT).build_blocking();
            let mut sums = client.subscribe::<Sum>();
            // The kernel connects it; the server has not accepted it yet.
            client.connect().unwrap();
            let started = Instant::now();
            let error = client.request(&ADD).unwrap_err();
            assert!(matches!(error, RequestError::Timeout { timeout: SHORT, .. }), "{error}");
            assert!(started.elapsed() >= SHORT);
            assert!(sums.next_within(SHORT).is_err());
            assert_eq!(server.clients(), []);
            // Once the server runs on the thread again, requests get replies.
            let handle: ClientHandle = client.handle();
            assert_eq!(handle.request(&ADD).timeout(DEADLINE).await.unwrap(), Sum(5));
            assert_eq!(handle.stats().late_replies, 1);
            client.send_raw("farewell", &"so long").unwrap();
            client.flush().unwrap();
            client.close();
        });
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
