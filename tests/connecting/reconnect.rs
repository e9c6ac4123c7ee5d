//! A client whose server is not there yet, has no room, goes away, or comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::poll;
use socket_ipc::{Client, ConnectError, Error, SendError, Server, Topic, limits};
use support::{Events, Place, soon, within};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

/// Reports the events of a client, in words.
fn watch(client: &Client, events: &Events<String>) {
    let report = events.reporter();
    client.on_connect({
        let report = report.clone();
        move || report("connect".into())
    });
    client.on_reconnect({
        let report = report.clone();
        move || report("reconnect".into())
    });
    client.on_connect_error({
        let report = report.clone();
        move |error| {
            report(match error {
                ConnectError::Io { cause: source, .. } => format!("{:?}", source.kind()),
                ConnectError::Timeout { .. } => "Timeout".into(),
                other => format!("{other:?}"),
            })
        }
    });
    client.on::<Number>({
        let report = report.clone();
        move |n| report(format!("received {}", n.0))
    });
    client.on_disconnect({
        let report = report.clone();
        move |_| report("disconnect".into())
    });
    client.on_error({
        let report = report.clone();
        move |error| report(format!("error {error:?}"))
    });
    client.on_close(move || report("close".into()));
}

/// A client that retries soon, so that tests need not wait.
fn eager(place: &Place) -> Client {
    let soon = Duration::from_millis(20);
    Client::builder(place.socket()).retry_delay(soon..2 * soon).reconnect_delay(soon..=2 * soon).build()
}

/// A socket that listens, accepts no client, and has no room for another.
async fn full(place: &Place) -> (UnixListener, Vec<UnixStream>) {
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(place.socket()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(place.socket()).await {
        waiting.push(stream);
    }
    (listener, waiting)
}

support::both_flavours! {
    async fn connect_path_is_no_socket_error_names_what_is_there() {
        let place = Place::new();
        let (file, directory) = (place.directory().join("file"), place.directory().to_owned());
        std::fs::write(&file, "").unwrap();
        for (path, expected) in [(file, "a regular file"), (directory, "a directory")] {
            let client = Client::builder(&path).give_up_after(1).build();
            let error = soon("gives up", client.connect()).await.unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with(&format!("{}: found {expected} there, which is no socket", path.display())), "{text}");
        }
    }

    async fn client_started_first_waits_for_server() {
        let place = Place::new();
        let (client, mut events) = (eager(&place), Events::new());
        watch(&client, &events);
        let connecting = client.connect();
        let starting = async {
            // One attempt finds nothing, the next one a socket that no server listens on.
            assert_eq!(events.next().await, "NotFound");
            drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
            while events.next().await != "ConnectionRefused" {}
            let server = Server::new(place.socket());
            server.listen().await.unwrap();
            server
        };
        let (connected, _server) = soon("both", async { tokio::join!(connecting, starting) }).await;
        connected.unwrap();
        assert!(client.is_connected());
        let mut rest = events.rest();
        assert_eq!(rest.pop().unwrap(), "connect");
        assert!(rest.iter().all(|event| event == "ConnectionRefused" || event == "NotFound"), "{rest:?}");
    }

    async fn server_restarts_clients_reconnect_with_listeners_and_new_ids() {
        let place = Place::new();
        let (client, mut events) = (eager(&place), Events::new());
        watch(&client, &events);
        let mut ids = Events::new();
        for round in 0..6 {
            let server = Server::new(place.socket());
            // Servers share no ids. A server never uses an id again.
            server.on_connection(ids.reporter());
            server.listen().await.unwrap();
            if round == 0 {
                soon("the connection", client.connect()).await.unwrap();
            }
            let first = ids.next().await;
            while events.next().await != "connect" {}
            if round > 0 {
                assert_eq!(events.next().await, "reconnect");
            }
            server.broadcast(&Number(round)).unwrap();
            assert_eq!(events.next().await, format!("received {round}"));
            // Once more on the same server.
            server.disconnect(first);
            assert_eq!(events.next().await, "disconnect");
            assert_ne!(ids.next().await, first);
            assert_eq!(events.take(2).await, ["connect", "reconnect"]);
            if round % 2 == 0 {
                soon("the close", server.close()).await;
            }
            drop(server);
            assert_eq!(events.next().await, "disconnect");
        }
        soon("the close", client.close()).await;
        assert_eq!(events.rest().last().unwrap(), "close");
    }

    async fn server_restarts_two_hundred_clients_are_back_within_5_s() {
        const CLIENTS: usize = 200;
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let (back, mut lost) = (Arc::new(AtomicUsize::new(0)), Events::new());
        let mut clients = Vec::new();
        let mut pauses = Events::new();
        for _ in 0..CLIENTS {
            let client = Client::new(place.socket());
            soon("the connection", client.connect()).await.unwrap();
            let report = lost.reporter();
            let lost_at = Arc::new(std::sync::Mutex::new(Instant::now()));
            client.on_disconnect({
                let lost_at = Arc::clone(&lost_at);
                move |_| { *lost_at.lock().unwrap() = Instant::now(); report(()) }
            });
            let (back, report) = (Arc::clone(&back), pauses.reporter());
            client.on_reconnect(move || {
                back.fetch_add(1, Ordering::Relaxed);
                report(lost_at.lock().unwrap().elapsed());
            });
            clients.push(client);
        }
        soon("the close", server.close()).await;
        let next = Server::new(place.socket());
        let mut ids = Events::new();
        next.on_connection(ids.reporter());
        next.listen().await.unwrap();
        lost.take(CLIENTS).await;
        let pauses = within("all of them", Duration::from_secs(5), pauses.take(CLIENTS)).await;
        assert_eq!(back.load(Ordering::Relaxed), CLIENTS);
        assert_eq!(lost.rest(), []);
        // How evenly they come is tested in memory, where the load of the machine has no effect.
        let shortest = limits::RECONNECT_DELAY.shortest();
        assert!(pauses.iter().all(|pause| *pause >= shortest), "a client was too early: {pauses:?}");
        ids.take(CLIENTS).await;
        assert_eq!(next.clients().len(), CLIENTS);
    }

    async fn connect_full_backlog_retries_within_the_attempt() {
        let place = Place::new();
        let (listener, waiting) = full(&place).await;
        let (client, mut events) = (Client::new(place.socket()), Events::new());
        watch(&client, &events);
        let mut connecting = Box::pin(client.connect());
        assert!(poll!(&mut connecting).is_pending(), "it was expected to find the backlog full");
        let mut accepted = Vec::new();
        for _ in 0..waiting.len() {
            accepted.push(soon("the peer", listener.accept()).await.unwrap());
        }
        soon("the connection", connecting).await.unwrap();
        assert_eq!(events.rest(), ["connect"], "the attempt failed");
    }

    async fn connect_backlog_stays_full_times_out_and_gives_up() {
        let place = Place::new();
        let (_listener, _waiting) = full(&place).await;
        let timeout = Duration::from_millis(100);
        let client = Client::builder(place.socket())
            .connect_timeout(timeout)
            .retry_delay(Duration::from_millis(10))
            .give_up_after(3)
            .build();
        let mut events = Events::new();
        watch(&client, &events);
        let begin = Instant::now();
        let error = soon("the end of the attempts", client.connect()).await.unwrap_err();
        assert!(begin.elapsed() >= 3 * timeout, "given up after {:?}", begin.elapsed());
        let ConnectError::GaveUp { path, attempts, cause: source } = error else { panic!("{error:?}") };
        assert_eq!((path, attempts), (place.socket(), 3));
        assert!(matches!(*source, ConnectError::Timeout { timeout: t, .. } if t == timeout), "{source:?}");
        soon("the close", client.closed()).await;
        assert_eq!(events.rest(), ["Timeout", "Timeout", "Timeout", "close"]);
    }

    async fn client_server_gone_gives_up_after_attempts_and_is_closed() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let client = Client::builder(place.socket())
            .reconnect_delay(Duration::from_millis(5))
            .retry_delay(Duration::from_millis(5))
            .give_up_after(4)
            .build();
        let (mut events, mut errors) = (Events::new(), Events::new());
        let report = errors.reporter();
        client.on_error(move |error| match error {
            Error::GaveUp(ConnectError::GaveUp { attempts, .. }) => report(*attempts),
            other => panic!("{other:?}"),
        });
        soon("the connection", client.connect()).await.unwrap();
        watch(&client, &events);
        drop(server);
        soon("the close", client.closed()).await;
        assert_eq!(errors.next().await, 4);
        let events = events.take(7).await;
        assert_eq!(events[..5], ["disconnect", "NotFound", "NotFound", "NotFound", "NotFound"]);
        assert!(events[5].starts_with("error GaveUp") && events[6] == "close", "{events:?}");
        assert!(matches!(client.send(&Number(0)), Err(SendError::Closed { .. })));
    }

    async fn close_while_connecting_leaves_no_connection_behind() {
        let place = Place::new();
        let (listener, waiting) = full(&place).await;
        let client = Client::new(place.socket());
        let mut connecting = Box::pin(client.connect());
        assert!(poll!(&mut connecting).is_pending());
        soon("the close", client.close()).await;
        let error = soon("the end of connecting", connecting).await.unwrap_err();
        assert!(matches!(error, ConnectError::Closed { .. }), "{error:?}");
        for _ in 0..waiting.len() {
            soon("the peer", listener.accept()).await.unwrap();
        }
        // The backlog held only the earlier connections: the next one is ours.
        let ours = UnixStream::connect(place.socket()).await.unwrap();
        drop(waiting);
        let (accepted, _) = soon("our own", listener.accept()).await.unwrap();
        ours.try_write(b"!").unwrap();
        soon("our own byte", accepted.readable()).await.unwrap();
        assert_eq!(accepted.try_read(&mut [0; 1]).unwrap(), 1, "another connection");
    }

    async fn close_or_drop_between_attempts_ends_them() {
        for by_drop in [false, true] {
            let place = Place::new();
            let server = Server::new(place.socket());
            server.listen().await.unwrap();
            let mut gone = Events::new();
            let (drop_reporter, path) = (DropReporter(gone.reporter()), place.socket());
            let soon_again = Duration::from_millis(5);
            let client = Client::builder(place.socket())
                .retry_delay(soon_again)
                .reconnect_delay(soon_again)
                .connector(move || {
                    let _kept_as_long_as_attempts_may_be_made = &drop_reporter;
                    UnixStream::connect(path.clone())
                })
                .build();
            let mut events = Events::new();
            watch(&client, &events);
            soon("the connection", client.connect()).await.unwrap();
            drop(server);
            while events.next().await != "NotFound" {}
            let closed = client.closed();
            if !by_drop {
                soon("the close", client.close()).await;
                assert_eq!(events.rest().last().unwrap(), "close");
            }
            drop(client);
            soon("the close", closed).await;
            gone.next().await;
        }
    }

    async fn send_while_server_is_away_returns_not_connected() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let (client, mut events) = (eager(&place), Events::new());
        watch(&client, &events);
        assert!(matches!(client.send(&Number(0)), Err(SendError::NotConnected { .. })), "before the first connection");
        soon("the connection", client.connect()).await.unwrap();
        let (handle, report) = (client.handle(), events.reporter());
        client.on_disconnect(move |_| {
            assert!(matches!(handle.send(&Number(0)), Err(SendError::NotConnected { .. })));
            report("not connected".into());
        });
        assert_eq!(events.next().await, "connect");
        drop(server);
        assert_eq!(events.take(2).await, ["disconnect", "not connected"]);
        assert!(!client.is_connected());
        assert!(matches!(client.send(&Number(0)), Err(SendError::NotConnected { .. })));
        assert!(matches!(client.send_async(&Number(0)).await, Err(SendError::NotConnected { .. })));
        assert!(matches!(client.send_raw("number", &0), Err(SendError::NotConnected { .. })));
        assert!(client.flush().await.is_err());
        let server = Server::new(place.socket());
        let mut numbers = server.subscribe::<Number>();
        server.listen().await.unwrap();
        while events.next().await != "reconnect" {}
        client.send(&Number(1)).unwrap();
        assert_eq!(soon("the message", numbers.next()).await.unwrap().0.0, 1, "an earlier one was queued after all");
    }
}

/// Reports that it is dropped.
struct DropReporter<R: Fn(())>(R);

impl<R: Fn(())> Drop for DropReporter<R> {
    fn drop(&mut self) {
        (self.0)(());
    }
}
