//! A client that is closed or dropped: what is still sent, and what ends.

use std::cell::RefCell;
use std::os::unix::net::UnixListener;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket_ipc::{Client, ConnectError, RequestError, SendError, blocking};

use super::{DEADLINE, Events, Number, SHORT, Text, Wait, connected, place, quick, serve, test};

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
