//! From the first event to the last: half-closed and vanished peers, closing in every state, and the order of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use serde_json::value::RawValue;
use socket_ipc::{
    Client, ClientHandle, CloseCause, ConnectError, ListenError, SendError, Server, ServerHandle, Topic,
};
use support::{Events, Place, RawPeer, soon, within};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "text"]
struct Text(String);

fn number(number: u64) -> String {
    format!("{{\"topic\":\"number\",\"message\":{number}}}\n")
}

/// A text of 2 MiB, more than any socket buffer holds. Encoded before, which is slow without optimisation.
fn long() -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(2 * 1024 * 1024))).unwrap()
}

/// Reports the events of a server as text.
fn watch_server(server: &Server, events: &Events<String>) {
    let report = events.reporter();
    server.on_listening({
        let report = report.clone();
        move || report("listening".into())
    });
    server.on_connection({
        let report = report.clone();
        move |id| report(format!("{id} connected"))
    });
    server.on::<Number>({
        let report = report.clone();
        move |n, id| report(format!("{id} received {}", n.0))
    });
    server.on_connection_close({
        let report = report.clone();
        move |id, _| report(format!("{id} closed"))
    });
    server.on_error({
        let report = report.clone();
        move |error| report(format!("error {error}"))
    });
    server.on_close(move || report("close".into()));
}

/// Reports the events of a client as text.
fn watch_client(client: &Client, events: &Events<String>) {
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
        move |_| report("connect error".into())
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
        move |error| report(format!("error {error}"))
    });
    client.on_close(move || report("close".into()));
}

support::both_flavours! {
    async fn peer_half_closed_receives_every_reply() {
        let place = Place::new();
        let (server, mut events) = (Server::new(place.socket()), Events::new());
        watch_server(&server, &events);
        let handle = server.handle();
        // More than the socket holds: the replies are still being written when the end of the requests is read.
        server.on::<Number>(move |n, id| handle.send(&Text(format!("{} {}", n.0, "x".repeat(64 * 1024))), id).unwrap());
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for n in 0..100 {
            peer.write(number(n)).await;
        }
        peer.stream.shutdown().await.unwrap();
        for n in 0..100 {
            let reply = peer.line().await;
            assert!(reply.starts_with(&format!("{{\"topic\":\"text\",\"message\":\"{n} x")), "reply {n}: {reply:.50}");
        }
        assert_eq!(peer.closed().await, b"");
        assert_eq!(events.next().await, "listening");
        assert_eq!(events.next().await, "1 connected");
        for n in 0..100 {
            assert_eq!(events.next().await, format!("1 received {n}"));
        }
        assert_eq!(events.next().await, "1 closed");
        assert_eq!(server.clients(), []);
    }

    async fn peer_half_closed_receives_late_replies() {
        let place = Place::new();
        let server = Server::new(place.socket());
        let (handle, go, called) = (server.handle(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        server.on_async::<Number>({
            let (go, called) = (Arc::clone(&go), Arc::clone(&called));
            move |n, id| {
                let (handle, go, called) = (handle.clone(), Arc::clone(&go), Arc::clone(&called));
                async move {
                    called.notify_one();
                    go.notified().await;
                    handle.send(&n, id).unwrap();
                }
            }
        });
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(number(7) + &number(8)).await;
        peer.stream.shutdown().await.unwrap();
        for n in [7, 8] {
            soon("the listener", called.notified()).await;
            go.notify_one();
            assert_eq!(peer.line().await + "\n", number(n));
        }
        assert_eq!(peer.closed().await, b"");
    }

    async fn peer_vanishes_gives_one_close_event() {
        let place = Place::new();
        let (server, mut events) = (Server::new(place.socket()), Events::new());
        watch_server(&server, &events);
        server.listen().await.unwrap();
        assert_eq!(events.next().await, "listening");
        let connected = async |id: u32, events: &mut Events<String>| {
            let peer = RawPeer::connect(place.socket()).await;
            assert_eq!(events.next().await, format!("{id} connected"));
            peer
        };
        // Without a message.
        drop(connected(1, &mut events).await);
        assert_eq!(events.next().await, "1 closed");
        // In the middle of a message, which is not dispatched.
        let mut peer = connected(2, &mut events).await;
        peer.write(number(1) + "{\"topic\":\"number\",\"message\":2").await;
        drop(peer);
        assert_eq!(events.take(2).await, ["2 received 1", "2 closed"]);
        // With unread bytes, which is a reset: the message before it is dispatched.
        let mut peer = connected(3, &mut events).await;
        server.broadcast(&Text("unread".into())).unwrap();
        soon("the bytes", peer.stream.readable()).await.unwrap();
        peer.write(number(3)).await;
        drop(peer);
        assert_eq!(events.take(2).await, ["3 received 3", "3 closed"]);
        // While much is being written to it.
        let peer = connected(4, &mut events).await;
        server.broadcast_raw("text", &long()).unwrap();
        drop(peer);
        assert_eq!(events.next().await, "4 closed");
        // While the server closes.
        let mut peer = connected(5, &mut events).await;
        peer.write(number(5)).await;
        assert_eq!(events.next().await, "5 received 5");
        assert_eq!(server.clients().len(), 1);
        soon("the close", async { drop(peer); server.close().await }).await;
        assert_eq!(events.take(2).await, ["5 closed", "close"]);
        assert_eq!(events.rest(), [""; 0]);
    }

    async fn events_come_once_in_order_close_is_last() {
        let place = Place::new();
        let (server, mut at_server) = (Server::new(place.socket()), Events::new());
        watch_server(&server, &at_server);
        server.listen().await.unwrap();
        let (client, mut at_client) = (Client::new(place.socket()), Events::new());
        watch_client(&client, &at_client);
        soon("the connection", client.connect()).await.unwrap();
        assert_eq!(at_server.take(2).await, ["listening", "1 connected"]);
        for n in 0..1_000 {
            client.send(&Number(n)).unwrap();
            server.broadcast(&Number(n)).unwrap();
        }
        for n in 0..1_000 {
            assert_eq!(at_server.next().await, format!("1 received {n}"));
        }
        assert_eq!(at_client.next().await, "connect");
        for n in 0..1_000 {
            assert_eq!(at_client.next().await, format!("received {n}"));
        }
        soon("the close", client.close()).await;
        assert_eq!(at_client.rest(), ["disconnect", "close"]);
        assert_eq!(at_server.next().await, "1 closed");
        soon("the close", server.close()).await;
        assert_eq!(at_server.rest(), ["close"]);
        drop((server, client));
        assert_eq!((at_server.rest(), at_client.rest()), (vec![], vec![]));
    }

    async fn closed_resolves_after_on_close() {
        let place = Place::new();
        let (server, client) = (Server::new(place.socket()), Client::new(place.socket()));
        server.listen().await.unwrap();
        soon("the connection", client.connect()).await.unwrap();
        let mut events = Events::new();
        let (of_client, report) = (client.handle(), events.reporter());
        client.on_close(move || report(("client", of_client.closed().now_or_never())));
        let (of_server, report) = (server.handle(), events.reporter());
        server.on_close(move || report(("server", of_server.closed().now_or_never())));
        soon("the close", client.close()).await;
        soon("the close", server.close()).await;
        assert_eq!(events.take(2).await, [("client", None), ("server", None)], "closed before `on_close` was over");
    }

    async fn close_in_any_state_gives_one_event() {
        let place = Place::new();
        let never_started = |events: &Events<String>| {
            let (server, client) = (Server::new(place.socket()), Client::new(place.socket()));
            watch_server(&server, events);
            watch_client(&client, events);
            (server, client)
        };
        let mut events = Events::new();
        let (server, client) = never_started(&events);
        for _ in 0..2 {
            soon("the close", server.close()).await;
            soon("the close", client.close()).await;
        }
        assert_eq!(events.rest(), ["close", "close"]);
        assert!(matches!(server.listen().await, Err(ListenError::Closed { .. })));
        assert!(matches!(client.connect().await, Err(ConnectError::Closed { .. })));
        assert!(!place.socket().exists());

        // Between two attempts to connect.
        let (server, client) = never_started(&events);
        let connecting = client.connect();
        let closing = async {
            assert_eq!(events.next().await, "connect error");
            client.close().await;
        };
        let (connected, ()) = soon("both", async { tokio::join!(connecting, closing) }).await;
        assert!(matches!(connected, Err(ConnectError::Closed { .. })));
        assert_eq!(events.rest(), ["close"]);

        // Between two connections, and listening.
        drop(client);
        server.listen().await.unwrap();
        let client = Client::builder(place.socket()).reconnect_delay(Duration::from_secs(3_600)).build();
        watch_client(&client, &events);
        soon("the connection", client.connect()).await.unwrap();
        assert_eq!(events.next().await, "listening");
        let mut both = events.take(2).await;
        both.sort();
        assert_eq!(both, ["1 connected", "connect"]);
        server.disconnect(server.clients()[0]);
        let mut both = events.take(2).await;
        both.sort();
        assert_eq!(both, ["1 closed", "disconnect"]);
        soon("the close", client.close()).await;
        assert_eq!(events.rest(), ["close"]);

        // By several tasks at once.
        let server = Arc::new(server);
        let closers: Vec<_> = (0..8)
            .map(|_| {
                let server = Arc::clone(&server);
                tokio::spawn(async move { server.close().await })
            })
            .collect();
        for closer in closers {
            soon("the close", closer).await.unwrap();
        }
        assert_eq!(events.rest(), ["close"]);
        assert!(matches!(server.listen().await, Err(ListenError::Closed { .. })));
    }

    async fn listen_or_connect_twice_returns_error() {
        let place = Place::new();
        let (server, client) = (Server::new(place.socket()), Client::new(place.socket()));
        let mut numbers = server.subscribe::<Number>();
        server.listen().await.unwrap();
        soon("the connection", client.connect()).await.unwrap();
        assert!(matches!(server.listen().await, Err(ListenError::AlreadyListening { .. })));
        assert!(matches!(client.connect().await, Err(ConnectError::AlreadyConnecting { .. })));
        client.send(&Number(1)).unwrap();
        assert_eq!(soon("the message", numbers.next()).await.unwrap().0.0, 1);
    }

    async fn send_after_close_returns_closed() {
        let place = Place::new();
        let (server, client) = (Server::new(place.socket()), Client::new(place.socket()));
        assert!(matches!(client.send(&Number(0)), Err(SendError::NotConnected { .. })));
        let mut connections = Events::new();
        server.on_connection(connections.reporter());
        server.listen().await.unwrap();
        soon("the connection", client.connect()).await.unwrap();
        let id = connections.next().await;
        let (to_client, to_server): (ServerHandle, ClientHandle) = (server.handle(), client.handle());
        let closing = client.close();
        assert!(matches!(client.send(&Number(1)), Err(SendError::Closed { .. })), "while it closes");
        soon("the close", closing).await;
        let closing = server.close();
        assert!(matches!(server.broadcast(&Number(1)), Err(SendError::Closed { .. })), "while it closes");
        soon("the close", closing).await;
        drop((server, client));
        assert!(matches!(to_server.send(&Number(1)), Err(SendError::Closed { .. })));
        assert!(matches!(to_server.send_async(&Number(1)).await, Err(SendError::Closed { .. })));
        assert!(to_server.flush().await.is_err());
        assert!(matches!(to_client.send(&Number(1), id), Err(SendError::Closed { .. })));
        assert!(matches!(to_client.send_async(&Number(1), id).await, Err(SendError::Closed { .. })));
        assert!(matches!(to_client.broadcast(&Number(1)), Err(SendError::Closed { .. })));
        assert!(matches!(to_client.broadcast_async(&Number(1)).await, Err(SendError::Closed { .. })));
        assert!(!to_client.disconnect(id));
        soon("the close", to_client.close()).await;
        soon("the close", to_server.close()).await;
    }

    async fn close_writes_everything_queued_for_reading_clients() {
        // 48 MiB in all, far more than the sockets hold.
        let place = Place::new();
        let server = Server::builder(place.socket()).outbox_len(64 * 1024 * 1024).drain(Duration::from_secs(60)).build();
        let (mut connections, mut disconnects) = (Events::new(), Events::new());
        server.on_connection(connections.reporter());
        server.listen().await.unwrap();
        let clients: [_; 2] = std::array::from_fn(|_| Client::new(place.socket()));
        let received = Arc::new(AtomicUsize::new(0));
        for client in &clients {
            let received = Arc::clone(&received);
            client.on_topic("text", move |text| {
                received.fetch_add(text.as_str().len() - 2, Ordering::Relaxed);
            });
            let report = disconnects.reporter();
            client.on_disconnect(move |reason| report(reason.clone()));
        }
        for client in &clients {
            soon("the connection", client.connect()).await.unwrap();
        }
        let both = connections.take(2).await;
        let mut events = Events::new();
        let report = events.reporter();
        server.on_connection_close(move |_id, reason| report(reason.clone()));
        // By broadcasts, whose bytes are shared, and to one client.
        let first = both[0];
        for _ in 0..8 {
            server.send_raw("text", &long(), first).unwrap();
            assert_eq!(server.broadcast_raw("text", &long()).unwrap(), 2);
        }
        within("the close", Duration::from_secs(60), server.close()).await;
        for reason in events.rest() {
            assert!(matches!(reason.cause, CloseCause::Closed) && reason.unsent_bytes == 0, "{reason}");
        }
        // The clients receive everything before the disconnect.
        disconnects.take(2).await;
        assert_eq!(received.load(Ordering::Relaxed), 3 * 16 * 1024 * 1024);
    }

    async fn disconnect_client_receives_only_what_was_queued() {
        let place = Place::new();
        let server = Server::builder(place.socket()).outbox_len(64 * 1024 * 1024).drain(Duration::from_secs(60)).build();
        let mut events = Events::new();
        let report = events.reporter();
        server.on_connection_close(move |id, reason| report((id, reason.clone())));
        let mut connections = Events::new();
        server.on_connection(connections.reporter());
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let id = connections.next().await;
        for _ in 0..16 {
            server.send_raw("text", &long(), id).unwrap();
        }
        assert!(server.disconnect(id));
        assert!(!server.disconnect(id), "the client is disconnected already");
        assert!(matches!(server.send(&Number(1), id), Err(SendError::UnknownClient { .. })));
        assert_eq!(server.clients(), []);
        let received = peer.closed().await;
        assert_eq!(received.iter().filter(|byte| **byte == b'\n').count(), 16);
        drop(peer);
        let (closed, reason) = events.next().await;
        assert!(closed == id && matches!(reason.cause, CloseCause::Disconnected), "{reason}");
        assert_eq!((reason.unsent_messages, reason.unsent_bytes), (0, 0));
    }

    async fn disconnect_by_listener_undispatched_messages_are_not_unfinished() {
        let place = Place::new();
        let server = Server::builder(place.socket()).drain(Duration::from_millis(200)).build();
        let handle = server.handle();
        server.on::<Number>(move |n, id| {
            assert_eq!(n.0, 1, "dispatched after the disconnect");
            handle.disconnect(id);
        });
        let mut events = Events::new();
        let report = events.reporter();
        server.on_connection_close(move |_id, reason| report(reason.clone()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(number(1) + &number(2) + &number(3)).await;
        assert_eq!(peer.closed().await, b"");
        // The peer stays open, so that the drain has to elapse.
        let reason = events.next().await;
        assert!(matches!(reason.cause, CloseCause::Disconnected), "{reason}");
        assert_eq!(reason.unfinished_bytes, 0, "{reason}");
    }
}
