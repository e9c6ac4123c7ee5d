//! The user's code panics: the library reports it, and everything else goes on.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use socket_ipc::{Client, CloseCause, Error, Server, Topic};
use support::{Events, Place, RawPeer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixListener;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "number"]
struct Number(u64);

/// Panics while it is read.
#[derive(Topic)]
#[topic = "number"]
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("while reading")
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // A second panic while unwinding would abort the process.
        if !std::thread::panicking() {
            panic!("while dropping");
        }
    }
}

const NUMBER: &str = "{\"topic\":\"number\",\"message\":1}\n";

support::both_flavours! {
    async fn listener_panics_is_reported_and_others_are_called() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (received, error) = (events.reporter(), events.reporter());
        server.on_error(move |found| {
            let Error::ListenerPanicked { listens_for, client_id, panic } = found else { panic!() };
            error(format!("{listens_for} of {}: {panic}", client_id.unwrap()));
        });
        server.on_message(|_, _, _| panic!("every"));
        server.on::<Number>(|_, _| panic!("typed {}", 1));
        server.on_async::<Number>(|_, _| -> std::future::Ready<()> { panic!("before it is async") });
        server.on_async::<Number>(|_, _| async {
            tokio::task::yield_now().await;
            panic!("async")
        });
        server.on_topic("number", |_, _| std::panic::panic_any(7));
        server.on::<Unreadable>(|_, _| unreachable!());
        server.on::<Number>(move |msg, _| received(format!("received {}", msg.0)));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(NUMBER.repeat(2)).await;
        let expected = [
            "every message of 1: every",
            "`number` of 1: typed 1",
            "`number` of 1: before it is async",
            "`number` of 1: async",
            "`number` of 1: (no text)",
            "`number` of 1: while reading",
            "received 1",
        ];
        assert_eq!(events.take(14).await, expected.repeat(2));
        assert_eq!(server.clients().len(), 1);
    }

    async fn only_listener_panics_next_message_is_dispatched() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        server.on_error(move |found| error(found.to_string()));
        server.on::<Unreadable>(|_, _| unreachable!());
        server.on_topic("next", move |message, _| received(message.to_string()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write([NUMBER, "{\"topic\":\"next\",\"message\":2}\n"].concat()).await;
        assert_eq!(events.take(2).await, ["a listener of `number` panicked (client 1): while reading", "2"]);
    }

    async fn event_listener_panics_is_reported_and_others_are_called() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::builder(place.socket()).max_message_len(100).build();
        let error = events.reporter();
        server.on_error(|_| panic!("where errors are reported"));
        server.on_error(move |found| error(found.to_string()));
        let report = |name: &'static str| {
            let report = events.reporter();
            move || report(name.to_owned())
        };
        let (listening, connection, message_error, gone, closed) = (report("listening"), report("connection"), report("message error"), report("connection close"), report("close"));
        server.on_listening(|| panic!("oh"));
        server.on_listening(listening);
        server.on_connection(|_| panic!("oh"));
        server.on_connection(move |_| connection());
        server.on_message_error(|_, _| panic!("oh"));
        server.on_message_error(move |_, _| message_error());
        server.on_connection_close(|_, _| panic!("oh"));
        server.on_connection_close(move |_, _| gone());
        server.on_close(|| panic!("oh"));
        server.on_close(closed);
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("bad\n").await;
        for event in ["listening", "connection", "message error"] {
            let of = if event == "listening" { "" } else { " (client 1)" };
            assert_eq!(events.take(2).await, [format!("a listener of the {event} event panicked{of}: oh"), event.to_owned()]);
        }
        drop(peer);
        assert_eq!(events.take(2).await[1], "connection close");
        server.close().await;
        assert_eq!(events.take(2).await[1], "close");
    }

    async fn client_listener_panics_is_reported_and_connection_lives() {
        let (place, mut events) = (Place::new(), Events::new());
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        client.on_error(move |found| error(found.to_string()));
        client.on_connect(|| panic!("oh"));
        client.on_message_error(|_| panic!("oh"));
        client.on::<Number>(|_| panic!("oh"));
        client.on_async::<Number>(|_| async { panic!("oh") });
        client.on::<Number>(move |msg| received(format!("received {}", msg.0)));
        client.connect().await.unwrap();
        assert_eq!(events.next().await, "a listener of the connect event panicked: oh");
        let mut peer = RawPeer::over(listener.accept().await.unwrap().0);
        peer.write(["bad\n", NUMBER].concat()).await;
        let panicked = |of| format!("a listener of {of} panicked: oh");
        assert_eq!(events.next().await, panicked("the message error event"));
        assert_eq!(events.take(3).await, [panicked("`number`"), panicked("`number`"), "received 1".into()]);
        assert!(client.is_connected());
    }

    async fn async_listener_panics_as_it_is_abandoned_loses_no_event() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::builder(place.socket()).drain(Duration::from_millis(50)).build();
        let (error, started, gone) = (events.reporter(), events.reporter(), events.reporter());
        server.on_error(move |found| error(found.to_string()));
        server.on_async::<Number>(move |_, _| {
            let started = started.clone();
            async move {
                let _bomb = Bomb;
                started("started".to_owned());
                std::future::pending().await
            }
        });
        server.on_connection_close(move |_, reason| {
            assert!(matches!(reason.cause, CloseCause::Disconnected));
            gone("gone".to_owned());
        });
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(NUMBER).await;
        assert_eq!(events.next().await, "started");
        server.disconnect(server.clients()[0]);
        assert_eq!(events.next().await, "a listener of `number` panicked (client 1): while dropping");
        assert_eq!(events.next().await, "gone");
    }

    async fn server_panic_payload_panics_in_drop_connection_lives() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        server.on_error(move |found| error(found.to_string()));
        server.on_connection(|_| std::panic::panic_any(Bomb));
        server.on::<Number>(|_, _| std::panic::panic_any(Bomb));
        server.on_async::<Number>(|_, _| async { std::panic::panic_any(Bomb) });
        server.on::<Number>(move |msg, _| received(format!("received {}", msg.0)));
        server.respond_async::<Request>(|_, _| async { explode() }).unwrap();
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write([NUMBER, REQUEST].concat()).await;
        let panicked = |of| format!("a listener of {of} panicked (client 1): (no text)");
        let expected = [
            panicked("the connection event"),
            panicked("`number`"),
            panicked("`number`"),
            "received 1".to_owned(),
            panicked("`request`"),
        ];
        assert_eq!(events.take(5).await, expected);
        assert!(peer.line().await.contains("panicked"));
        assert_eq!(server.clients().len(), 1);
    }

    async fn client_panic_payload_panics_in_drop_connection_lives() {
        let (place, mut events) = (Place::new(), Events::new());
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        let error = events.reporter();
        client.on_error(move |found| error(found.to_string()));
        client.on::<Number>(|_| std::panic::panic_any(Bomb));
        client.on_async::<Number>(|_| async { std::panic::panic_any(Bomb) });
        client.respond::<Request>(|_| -> Reply { std::panic::panic_any(Bomb) }).unwrap();
        client.connect().await.unwrap();
        let mut peer = RawPeer::over(listener.accept().await.unwrap().0);
        peer.write([NUMBER, REQUEST].concat()).await;
        for of in ["`number`", "`number`", "`request`"] {
            assert_eq!(events.next().await, format!("a listener of {of} panicked: (no text)"));
        }
        assert!(peer.line().await.contains("panicked"));
        assert!(client.is_connected());
    }

    async fn server_removed_listener_panics_in_drop_is_reported() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        server.on_error(move |found| error(found.to_string()));
        server.on_topic("next", move |message, _| received(message.to_string()));
        let bomb = Bomb;
        let number = server.on::<Number>(move |_, _| { let _ = &bomb; });
        let bomb = Bomb;
        let connection = server.on_connection(move |_| { let _ = &bomb; });
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        // The connection holds the listener, and may be the last to drop it.
        peer.write([NUMBER, NEXT].concat()).await;
        assert_eq!(events.next().await, "1");
        assert!(server.off(connection));
        assert_eq!(events.next().await, "a listener of an event panicked: while dropping");
        assert!(server.off(number));
        peer.write(NEXT).await;
        let mut both = events.take(2).await;
        both.sort();
        assert_eq!(both, ["1", "a listener of `number` panicked: while dropping"]);
        assert_eq!(server.clients().len(), 1);
    }

    async fn client_removed_listener_panics_in_drop_is_reported() {
        let (place, mut events) = (Place::new(), Events::new());
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        client.on_error(move |found| error(found.to_string()));
        client.on_topic("next", move |message| received(message.to_string()));
        let bomb = Bomb;
        let number = client.on::<Number>(move |_| { let _ = &bomb; });
        client.connect().await.unwrap();
        let mut peer = RawPeer::over(listener.accept().await.unwrap().0);
        peer.write([NUMBER, NEXT].concat()).await;
        assert_eq!(events.next().await, "1");
        assert!(client.off(number));
        peer.write(NEXT).await;
        let mut both = events.take(2).await;
        both.sort();
        assert_eq!(both, ["1", "a listener of `number` panicked: while dropping"]);
        assert!(client.is_connected());
    }

    async fn server_finished_future_panics_in_drop_is_reported() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        server.on_error(move |found| error(found.to_string()));
        server.on_async::<Number>(|_, _| BadEnd(Some(())));
        server.on::<Number>(move |msg, _| received(format!("received {}", msg.0)));
        server.respond_async::<Request>(|_, _| BadEnd(Some(Reply))).unwrap();
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for _ in 0..2 {
            peer.write([NUMBER, REQUEST].concat()).await;
            let panicked = |of| format!("a listener of {of} panicked (client 1): while dropping");
            assert_eq!(events.take(3).await, [panicked("`number`"), "received 1".to_owned(), panicked("`request`")]);
            assert!(peer.line().await.contains("panicked"));
        }
        assert_eq!(server.clients().len(), 1);
    }

    async fn dropped_responder_panics_in_drop_is_reported_and_connection_lives() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (error, begun) = (events.reporter(), events.reporter());
        server.on_error(move |found| error(found.to_string()));
        server
            .respond_async::<Request>(move |_, _| {
                begun("begun".to_owned());
                let bomb = Bomb;
                async move {
                    let _bomb = bomb;
                    std::future::pending::<Reply>().await
                }
            })
            .unwrap();
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for _ in 0..2 {
            peer.write(REQUEST).await;
            assert_eq!(events.next().await, "begun");
            peer.write("{\"topic\":\"socket-ipc.cancel\",\"message\":1,\"re\":0}\n").await;
            assert_eq!(events.next().await, "a listener of `request` panicked (client 1): while dropping");
        }
        assert_eq!(server.clients().len(), 1);
        peer.write(REQUEST).await;
        assert_eq!(events.next().await, "begun");
        drop(peer);
        assert_eq!(events.next().await, "a listener of `request` panicked (client 1): while dropping");
    }

    async fn client_finished_future_panics_in_drop_is_reported() {
        let (place, mut events) = (Place::new(), Events::new());
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        let (error, received) = (events.reporter(), events.reporter());
        client.on_error(move |found| error(found.to_string()));
        client.on_async::<Number>(|_| BadEnd(Some(())));
        client.on::<Number>(move |msg| received(format!("received {}", msg.0)));
        client.respond_async::<Request>(|_| BadEnd(Some(Reply))).unwrap();
        client.connect().await.unwrap();
        let mut peer = RawPeer::over(listener.accept().await.unwrap().0);
        for _ in 0..2 {
            peer.write([NUMBER, REQUEST].concat()).await;
            let panicked = |of| format!("a listener of {of} panicked: while dropping");
            assert_eq!(events.take(3).await, [panicked("`number`"), "received 1".to_owned(), panicked("`request`")]);
            assert!(peer.line().await.contains("panicked"));
        }
        assert!(client.is_connected());
    }

    async fn server_transport_panics_close_reason_says_so() {
        let mut events = Events::new();
        let server = Server::new("a transport that panics");
        let gone = events.reporter();
        server.on_connection_close(move |id, reason| gone(format!("{id}: {reason}")));
        server.serve_connection(BadStream { reads: true }).unwrap();
        assert_eq!(events.next().await, "1: the connection failed: the transport panicked: while reading");
        // Dropping it panics, too.
        server.serve_connection(BadStream { reads: false }).unwrap();
        assert_eq!(events.next().await, "2: the peer closed the connection");
        server.close().await;
    }

    async fn client_transport_panics_close_reason_says_so_and_it_retries() {
        let mut events = Events::new();
        let attempts = AtomicUsize::new(0);
        let connector = move || {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            assert_ne!(attempt, 1, "while connecting");
            async move { Ok(BadStream { reads: attempt == 0 }) }
        };
        let soon = Duration::from_millis(1);
        let client = Client::builder("a transport that panics")
            .connector(connector)
            .reconnect_delay(soon)
            .retry_delay(soon)
            .build();
        let (gone, failed) = (events.reporter(), events.reporter());
        client.on_disconnect(move |reason| gone(reason.to_string()));
        client.on_connect_error(move |error| failed(error.to_string()));
        client.connect().await.unwrap();
        assert_eq!(events.next().await, "the connection failed: the transport panicked: while reading");
        let failure = events.next().await;
        assert!(failure.contains(": the transport panicked: ") && failure.contains("while connecting"), "{failure}");
        assert_eq!(events.next().await, "the peer closed the connection");
    }
}

/// A future that is ready at once, and panics when it is dropped.
struct BadEnd<T>(Option<T>);

impl<T: Unpin> Future for BadEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(self.0.take().unwrap())
    }
}

impl<T> Drop for BadEnd<T> {
    fn drop(&mut self) {
        drop(Bomb);
    }
}

/// A stream that panics when it is read, or is at its end. Both panic when they are dropped.
struct BadStream {
    reads: bool,
}

impl AsyncRead for BadStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        assert!(!self.reads, "while reading");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BadStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for BadStream {
    fn drop(&mut self) {
        drop(Bomb);
    }
}

fn explode() -> Reply {
    std::panic::panic_any(Bomb)
}

const NEXT: &str = "{\"topic\":\"next\",\"message\":1}\n";
const REQUEST: &str = "{\"topic\":\"request\",\"message\":null,\"id\":1}\n";

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "request", reply = Reply)]
struct Request;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "reply"]
struct Reply;
