//! An event without a listener is logged as a warning, so that nothing is lost silently; an event with a listener is not.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use support::{Events, Place, RawPeer, within};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "number"]
struct Number(u64);

/// Receives every warning of this process. Tests tell theirs apart by the text.
static WARNINGS: Mutex<Vec<mpsc::UnboundedSender<String>>> = Mutex::new(Vec::new());

struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("socket_ipc") && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        WARNINGS.lock().unwrap().retain(|sender| sender.send(text.0.clone()).is_ok());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        write!(self.0, " {}={error}", field.name()).unwrap();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

/// The warnings from now on.
struct Warnings(mpsc::UnboundedReceiver<String>);

impl Warnings {
    fn new() -> Self {
        // The first test sets it for all threads.
        let _ = tracing::subscriber::set_global_default(Recorder);
        let (sender, receiver) = mpsc::unbounded_channel();
        WARNINGS.lock().unwrap().push(sender);
        Self(receiver)
    }

    /// Waits for a warning that holds all of `parts`, and returns those before it.
    async fn find(&mut self, parts: &[&str]) -> Vec<String> {
        let mut others = Vec::new();
        let found = async {
            loop {
                let warning = self.0.recv().await.unwrap();
                if parts.iter().all(|part| warning.contains(part)) {
                    return;
                }
                others.push(warning);
            }
        };
        if support::in_time(support::DEADLINE, found).await.is_none() {
            panic!("no warning with {parts:?} among {others:#?}");
        }
        others
    }

    /// Asserts that no warning so far holds `part`.
    fn none(&mut self, part: &str) {
        while let Ok(warning) = self.0.try_recv() {
            assert!(!warning.contains(part), "{warning}");
        }
    }
}

support::both_flavours! {
    async fn endpoint_dropped_with_queued_messages_warns_how_many_are_lost() {
        let mut warnings = Warnings::new();
        let places = [Place::new(), Place::new()];
        let listener = tokio::net::UnixListener::bind(places[0].socket()).unwrap();
        let client = Client::new(places[0].socket());
        client.connect().await.unwrap();
        let _reads_nothing = listener.accept().await.unwrap();
        let server = Server::new(places[1].socket());
        let mut connections = Events::new();
        let report = connections.reporter();
        server.on_connection(report);
        server.listen().await.unwrap();
        let _peers = [RawPeer::connect(places[1].socket()).await, RawPeer::connect(places[1].socket()).await];
        connections.take(2).await;
        // Longer than a socket takes, so that no message is written whole.
        for _ in 0..3 {
            client.send_raw("long", &"x".repeat(1_000_000)).unwrap();
            server.broadcast_raw("long", &"x".repeat(1_000_000)).unwrap();
        }
        let paths = [&places[0], &places[1]].map(|place| format!("path={}", place.socket().display()));
        drop(client);
        warnings.find(&[&paths[0], "messages=3", "a client was dropped"]).await;
        drop(server);
        warnings.find(&[&paths[1], "messages=6", "clients=2", "a server was dropped"]).await;
        // With nothing queued, or closed before, there is nothing to warn of.
        let client = Client::new(places[0].socket());
        client.connect().await.unwrap();
        client.send_raw("short", &1).unwrap();
        client.flush().await.unwrap();
        drop(client);
        let client = Client::builder(places[0].socket()).drain(Duration::from_millis(10)).build();
        client.connect().await.unwrap();
        client.send_raw("long", &"x".repeat(1_000_000)).unwrap();
        client.close().await;
        drop(client);
        while let Ok(warning) = warnings.0.try_recv() {
            assert!(!warning.contains(&paths[0]) || !warning.contains("was dropped"), "{warning}");
        }
    }

    async fn socket_file_gone_with_or_without_listener_is_a_warning() {
        for listens in [false, true] {
            let place = Place::new();
            let mut warnings = Warnings::new();
            let server = Server::builder(place.socket()).watch(Duration::from_millis(5)).build();
            if listens {
                server.on_error(|_| {});
            }
            server.listen().await.unwrap();
            std::fs::remove_file(place.socket()).unwrap();
            let path = place.socket().display().to_string();
            warnings.find(&["WARN", &path, "is gone: nothing is there now"]).await;
            let between = warnings.find(&["WARN", &path, "is bound again"]).await;
            assert!(!between.iter().any(|warning| warning.contains(&path)), "reported twice: {between:?}");
        }
    }

    async fn socket_file_cannot_be_checked_is_one_warning() {
        let place = Place::new();
        let mut warnings = Warnings::new();
        let (directory, moved) = (place.directory().join("run"), place.directory().join("moved"));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("test.sock");
        let server = Server::builder(&path).watch(Duration::from_millis(5)).build();
        server.listen().await.unwrap();
        std::fs::rename(&directory, &moved).unwrap();
        // A link to itself is an error other than absence.
        std::os::unix::fs::symlink(&directory, &directory).unwrap();
        let path = path.display().to_string();
        warnings.find(&["WARN", &path, "can't see whether the socket file is still there"]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::fs::remove_file(&directory).unwrap();
        std::fs::rename(&moved, &directory).unwrap();
        std::fs::remove_file(&path).unwrap();
        let between = warnings.find(&["WARN", &path, "is gone: nothing is there now"]).await;
        let again = |warning: &String| warning.contains("can't see") && warning.contains(&path);
        assert!(!between.iter().any(again), "reported twice: {between:?}");
    }

    async fn message_error_without_listener_is_a_warning() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"unknown\":[1234567]}\n").await;
        warnings.find(&["WARN", "client=1", "a message could not be dispatched", "21 bytes", "missing field `topic`"]).await;
        // A message without a listener is no event.
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("done", move |_, _| report(()));
        peer.write("{\"topic\":\"no-listener-for-this\"}\n{\"topic\":\"done\"}\n").await;
        received.next().await;
        warnings.none("no-listener-for-this");
    }

    async fn request_refused_by_authorize_is_no_warning() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let reason = format!("nothing at {}", place.socket().display());
        let text = reason.clone();
        let server = Server::builder(place.socket()).authorize(move |_| Err(text.clone().into())).build();
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        client.connect().await.unwrap();
        for _ in 0..100 {
            client.request_raw("refused", &1).await.unwrap_err();
        }
        warnings.none(&reason);
        // A message is reported, as its sender is not told.
        client.send_raw("refused", &1).unwrap();
        warnings.find(&["WARN", &format!("`refused` is refused by `authorize`: {reason} (forbidden)")]).await;
    }

    async fn connect_fails_again_and_again_is_one_warning() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let client = Client::builder(place.socket()).retry_delay(Duration::from_millis(1)).give_up_after(5).build();
        client.connect().await.unwrap_err();
        let path = place.socket().display().to_string();
        let named = |warning: &String| warning.contains(&path);
        warnings.find(&["WARN", &path, "an attempt to connect failed", "No such file or directory"]).await;
        while let Ok(warning) = warnings.0.try_recv() {
            assert!(!named(&warning), "{warning}");
        }
    }

    async fn listener_panic_without_error_listener_is_a_warning() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let server = Server::new(place.socket());
        server.on::<Number>(|_, _| panic!("unreported panic"));
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        client.connect().await.unwrap();
        client.send(&Number(1)).unwrap();
        warnings.find(&["WARN", "an error of the server", "`number`", "client 1", "unreported panic"]).await;
        server.on_error(|_| panic!("nowhere further to go"));
        client.send(&Number(1)).unwrap();
        warnings.find(&["ERROR", "a listener of the error event panicked", "nowhere further to go"]).await;
        client.on_topic("pong", |_| panic!("unreported by the client"));
        server.broadcast_raw("pong", &1).unwrap();
        warnings.find(&["WARN", "an error of the client", "`pong`", "unreported by the client"]).await;
    }

    async fn connection_close_with_loss_without_listener_is_a_warning() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        for _ in 0..5 {
            // No other test has as many clients, so these can't be mistaken.
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write("{\"topic\":\"number\"}\n").await;
            peer.stream.shutdown().await.unwrap();
            peer.closed().await;
        }
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"cut in the midst").await;
        drop(peer);
        let unfinished = ["WARN", "client=6", "a connection ended", "26 bytes of an unfinished message"];
        let others = warnings.find(&unfinished).await;
        assert!(!others.iter().any(|other| other.contains("client=5") || other.contains("client=4")), "{others:?}");
        let slow = Server::builder(place.directory().join("slow.sock")).outbox_len(4_000_000).build();
        slow.listen().await.unwrap();
        let mut connected = Events::new();
        slow.on_connection(connected.reporter());
        let _stuck = RawPeer::connect(place.directory().join("slow.sock")).await;
        connected.next().await;
        while slow.broadcast_raw("x", &"x".repeat(1_000_000)).unwrap() == 1 {}
        warnings.find(&["WARN", "client=1", "a connection ended", "too slow", "messages"]).await;
    }

    async fn event_stream_takes_events_no_warning_until_dropped() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let path = place.socket();
        let path = path.to_str().unwrap();
        let server = Server::new(path);
        let mut connections = server.connection_events();
        let client = Client::builder(path).retry_delay(Duration::from_millis(1)).build();
        let mut states = client.connection_events();
        let mut connecting = Box::pin(client.connect());
        tokio::select! {
            _ = &mut connecting => panic!("there is no server"),
            state = states.next() => assert!(state.is_some()),
        }
        warnings.none(path);
        drop(states);
        let failure = ["WARN", "an attempt to connect failed", path];
        tokio::select! {
            _ = &mut connecting => panic!("there is no server"),
            _ = warnings.find(&failure) => {}
        }
        drop(connecting);
        server.listen().await.unwrap();
        let cut = async |bytes: &str| {
            let mut peer = RawPeer::connect(path).await;
            peer.write(bytes).await;
            drop(peer);
        };
        cut("taken by a stream of events: 37 bytes").await;
        for _ in 0..2 {
            within("an event", support::DEADLINE, connections.next()).await.unwrap();
        }
        drop(connections);
        cut("without a taker: 25 bytes").await;
        let others = warnings.find(&["WARN", "a connection ended", "25 bytes of an unfinished message"]).await;
        assert!(!others.iter().any(|other| other.contains("37 bytes of an")), "{others:?}");
    }

    async fn event_with_listener_is_no_warning() {
        let (place, mut warnings) = (Place::new(), Warnings::new());
        let (server, client) = (Server::new(place.socket()), Client::builder(place.socket()).give_up_after(1).build());
        let mut events = Events::new();
        let reports: Vec<_> = (0..5).map(|_| Arc::new(events.reporter())).collect();
        let report = Arc::clone(&reports[0]);
        server.on_message_error(move |_, _| report("message error"));
        let report = Arc::clone(&reports[1]);
        server.on_error(move |_| report("error"));
        let report = Arc::clone(&reports[2]);
        server.on_connection_close(move |_, _| report("connection close"));
        let report = Arc::clone(&reports[3]);
        client.on_connect_error(move |_| report("connect error"));
        server.on_topic("quiet", |_, _| panic!("quietly"));
        assert!(client.connect().await.is_err());
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("quietly\n{\"topic\":\"quiet\"}\nquietly unfinished").await;
        drop(peer);
        assert_eq!(events.take(4).await, ["connect error", "message error", "error", "connection close"]);
        within("closing", support::DEADLINE, server.close()).await;
        for part in ["quietly", "7 bytes", "18 bytes", place.socket().to_str().unwrap()] {
            warnings.none(part);
        }
    }
}
