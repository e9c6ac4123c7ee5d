//! Closing and dropping in awkward places: inside listeners, with stuck clients, during a panic, without a runtime.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use socket_ipc::{Client, CloseCause, SendError, Server, Topic};
use support::{DEADLINE, Events, Place, RawPeer, soon};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

fn number(number: u64) -> String {
    format!("{{\"topic\":\"number\",\"message\":{number}}}\n")
}

/// A text of 2 MiB, more than any socket buffer holds.
fn long() -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(2 * 1024 * 1024))).unwrap()
}

/// A server and its client, each of which has reported the connection.
async fn connected(place: &Place) -> (Server, Client) {
    let (server, client) = (Server::new(place.socket()), Client::new(place.socket()));
    let mut connections = Events::new();
    let listener = server.on_connection(connections.reporter());
    server.listen().await.unwrap();
    soon("the connection", client.connect()).await.unwrap();
    connections.next().await;
    server.off(listener);
    (server, client)
}

support::both_flavours! {
    async fn close_from_own_listener_calls_no_more_listeners() {
        let place = Place::new();
        let (server, client) = connected(&place).await;
        let mut events = Events::new();
        let (at_server, at_client) = (events.reporter(), events.reporter());
        let handle = server.handle();
        server.on::<Number>(move |n, _id| {
            at_server(("server", n.0));
            drop(handle.close());
        });
        let handle = client.handle();
        client.on::<Number>(move |n| {
            at_client(("client", n.0));
            drop(handle.close());
        });
        for n in 0..10 {
            server.broadcast(&Number(n)).unwrap();
        }
        soon("the client's close", client.closed()).await;
        assert_eq!(events.rest(), [("client", 0)], "a listener started after the close");
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(number(0) + &number(1)).await;
        assert_eq!(peer.closed().await, b"");
        drop(peer);
        soon("the server's close", server.closed()).await;
        assert_eq!(events.rest(), [("server", 0)], "a listener started after the close");
    }

    async fn close_from_any_event_listener_ends() {
        let attach: [fn(&Server); 4] = [
            |server| { let handle = server.handle(); server.on_listening(move || drop(handle.close())); },
            |server| { let handle = server.handle(); server.on_connection(move |_id| drop(handle.close())); },
            |server| { let handle = server.handle(); server.on_message_error(move |_, _id| drop(handle.close())); },
            |server| { let handle = server.handle(); server.on_connection_close(move |_id, _| drop(handle.close())); },
        ];
        for attach in attach {
            let place = Place::new();
            let server = Server::builder(place.socket()).drain(Duration::from_millis(200)).build();
            let mut events = Events::new();
            let (close, handle) = (events.reporter(), server.handle());
            server.on_close(move || { drop(handle.close()); close(()) });
            attach(&server);
            server.listen().await.unwrap();
            if let Ok(mut stream) = tokio::net::UnixStream::connect(place.socket()).await {
                let _ = stream.write_all(b"nonsense\n").await;
            }
            soon("the close", server.closed()).await;
            assert_eq!(events.take(1).await.len() + events.rest().len(), 1);
        }
    }

    async fn close_awaited_by_a_listener_does_not_wait_for_it() {
        let place = Place::new();
        let (server, client) = connected(&place).await;
        let mut events = Events::new();
        let (report, handle) = (events.reporter(), server.handle());
        server.on_async::<Number>(move |_, _id| {
            let (report, closing) = (report.clone(), handle.close());
            async move {
                closing.await;
                report("server");
            }
        });
        let (report, handle) = (events.reporter(), client.handle());
        client.on_async::<Number>(move |_| {
            let (report, closing) = (report.clone(), handle.close());
            async move {
                closing.await;
                report("client");
            }
        });
        let begin = Instant::now();
        server.broadcast(&Number(0)).unwrap();
        assert_eq!(events.next().await, "client");
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(number(0)).await;
        assert_eq!(peer.closed().await, b"");
        drop(peer);
        assert_eq!(events.next().await, "server");
        assert!(begin.elapsed() < Duration::from_secs(4), "a drain was waited for: {:?}", begin.elapsed());
    }

    async fn listener_awaits_closed_keeps_message_order_and_ends_at_close() {
        let place = Place::new();
        let (server, client) = connected(&place).await;
        let mut events = Events::new();
        let (report, handle, go) = (events.reporter(), server.handle(), Arc::new(Notify::new()));
        server.on_async::<Number>({
            let go = Arc::clone(&go);
            move |n, _id| {
                let (report, closed, go) = (report.clone(), handle.closed(), Arc::clone(&go));
                async move {
                    report(format!("{} begins", n.0));
                    tokio::select! {
                        () = closed => report(format!("{} abandoned", n.0)),
                        () = go.notified() => report(format!("{} ends", n.0)),
                    }
                }
            }
        });
        let report = events.reporter();
        server.on_topic("marker", move |_, _id| report("marker".into()));
        client.send(&Number(0)).unwrap();
        client.send(&Number(1)).unwrap();
        client.send_raw("marker", &()).unwrap();
        assert_eq!(events.next().await, "0 begins");
        // The second message still waits after another connection's message is dispatched.
        let mut other = RawPeer::connect(place.socket()).await;
        other.write("{\"topic\":\"marker\"}\n").await;
        assert_eq!(events.next().await, "marker");
        assert_eq!(events.rest(), [""; 0], "the second message did not wait for the first");
        go.notify_one();
        assert_eq!(events.take(2).await, ["0 ends", "1 begins"]);
        // The listener does not delay the close.
        let begin = Instant::now();
        drop((other, client));
        soon("the close", server.close()).await;
        assert!(begin.elapsed() < Duration::from_secs(4), "a drain was waited for: {:?}", begin.elapsed());
        assert_eq!(events.next().await, "1 abandoned");
    }

    async fn close_with_stuck_clients_ends_after_drain_and_counts_unsent() {
        let place = Place::new();
        let server = Server::builder(place.socket()).drain(Duration::from_millis(300)).build();
        let (mut connections, mut closes) = (Events::new(), Events::new());
        server.on_connection(connections.reporter());
        let report = closes.reporter();
        server.on_connection_close(move |_id, reason| report(reason.clone()));
        server.listen().await.unwrap();
        let mut stuck = Vec::new();
        for _ in 0..20 {
            stuck.push(RawPeer::connect(place.socket()).await);
        }
        connections.take(20).await;
        server.broadcast_raw("text", &long()).unwrap();
        server.broadcast_raw("text", &long()).unwrap();
        let begin = Instant::now();
        soon("the close", server.close()).await;
        assert!(begin.elapsed() >= Duration::from_millis(300), "aborted after {:?}", begin.elapsed());
        let closes = closes.rest();
        assert_eq!(closes.len(), 20);
        for reason in closes {
            assert!(matches!(reason.cause, CloseCause::Closed) && reason.unsent_messages == 2, "{reason}");
        }
    }

    async fn close_with_blocked_listener_ends_after_drain() {
        // The listener blocks a thread of a runtime of its own; the test waits on another.
        let place = Place::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = Server::builder(place.socket()).drain(Duration::from_millis(200)).build();
        let mut events = Events::new();
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Mutex::new(blocked);
        let (report, end, close) = (events.reporter(), events.reporter(), events.reporter());
        server.on::<Number>(move |_, _id| {
            report("called");
            let _ = blocked.lock().unwrap().recv_timeout(2 * DEADLINE);
            report("released");
        });
        server.on_connection_close(move |_id, _| end("connection close"));
        server.on_close(move || close("close"));
        let server = Arc::new(server);
        let listening = Arc::clone(&server);
        soon("listening", runtime.spawn(async move { listening.listen().await })).await.unwrap().unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(number(0)).await;
        assert_eq!(events.next().await, "called");
        soon("the close", server.close()).await;
        assert_eq!(events.rest(), ["connection close", "close"]);
        release.send(()).unwrap();
        assert_eq!(events.next().await, "released");
        runtime.shutdown_background();
        assert_eq!(events.rest(), [""; 0], "an event after the last");
    }

    async fn drop_connected_endpoint_ends_at_once_and_reports_nothing() {
        let place = Place::new();
        let (server, client) = connected(&place).await;
        let mut events = Events::new();
        let (end, close) = (events.reporter(), events.reporter());
        server.on_connection_close(move |_id, _| end("connection close"));
        server.on_close(move || close("server close"));
        let (end, close) = (events.reporter(), events.reporter());
        let on_disconnect = client.on_disconnect(move |reason| { end(if matches!(reason.cause, CloseCause::PeerClosed) { "peer closed" } else { "?" }) });
        client.on_close(move || close("client close"));
        let mut numbers = server.subscribe::<Number>();
        server.broadcast_raw("text", &long()).unwrap();
        let (handle, closed) = (server.handle(), server.closed());
        drop(server);
        assert!(!place.socket().exists());
        soon("the close", closed).await;
        assert!(soon("the end of the subscription", numbers.next()).await.is_none());
        assert!(matches!(handle.broadcast(&Number(0)), Err(SendError::Closed { .. })));
        assert_eq!(events.next().await, "peer closed");
        client.off(on_disconnect);
        let (handle, closed) = (client.handle(), client.closed());
        drop(client);
        soon("the close", closed).await;
        assert!(matches!(handle.send(&Number(0)), Err(SendError::Closed { .. })));
        assert_eq!(events.rest(), [""; 0]);
    }

    async fn drop_from_own_listener_ends_server_and_client() {
        let place = Place::new();
        let (server, client) = connected(&place).await;
        let mut events = Events::new();
        let server = Arc::new(Mutex::new(Some(server)));
        let (slot, dropped) = (Arc::downgrade(&server), events.reporter());
        server.lock().unwrap().as_ref().unwrap().on::<Number>(move |_, _id| {
            let taken = slot.upgrade().and_then(|server| server.lock().unwrap().take());
            dropped(("server", taken.is_some()));
        });
        client.send(&Number(0)).unwrap();
        client.send(&Number(1)).unwrap();
        assert_eq!(events.next().await, ("server", true));
        assert!(!place.socket().exists() || server.lock().unwrap().is_none());
        let mut lost = Events::new();
        let next = Server::new(place.socket());
        next.on_connection(lost.reporter());
        soon("the path", async { while next.listen().await.is_err() { tokio::task::yield_now().await } }).await;
        lost.next().await;
        let client = Arc::new(Mutex::new(Some(client)));
        let (slot, dropped) = (Arc::downgrade(&client), events.reporter());
        client.lock().unwrap().as_ref().unwrap().on::<Number>(move |_| {
            let taken = slot.upgrade().and_then(|client| client.lock().unwrap().take());
            dropped(("client", taken.is_some()));
        });
        next.broadcast(&Number(0)).unwrap();
        next.broadcast(&Number(1)).unwrap();
        assert_eq!(events.next().await, ("client", true));
        soon("the close", next.close()).await;
        assert_eq!(events.rest(), []);
    }

    async fn drop_during_panic_keeps_that_panic_and_frees_the_path() {
        let place = Place::new();
        let (server, client) = connected(&place).await;
        let (numbers, of_server, of_client) = (server.subscribe::<Number>(), server.handle(), client.handle());
        server.broadcast_raw("text", &long()).unwrap();
        let panicked = tokio::spawn(async move {
            let _all = (of_client, client, numbers, server, of_server);
            panic!("with everything in hand");
        });
        let panic = soon("the panic", panicked).await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"with everything in hand"));
        assert!(!place.socket().exists());
        Server::new(place.socket()).listen().await.unwrap();
    }
}

/// A runtime of each flavour.
fn runtimes() -> [Runtime; 2] {
    use tokio::runtime::Builder;
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.enable_all().build().unwrap())
}

#[test]
fn drop_outside_or_after_runtime_removes_the_socket() {
    for gone in [false, true] {
        for runtime in runtimes() {
            let place = Place::new();
            let (server, client) = runtime.block_on(connected(&place));
            let subscription = server.subscribe::<Number>();
            let (of_server, of_client) = (server.handle(), client.handle());
            server.broadcast_raw("text", &long()).unwrap();
            let runtime = (!gone).then_some(runtime);
            assert!(place.socket().exists());
            drop(subscription);
            drop(server);
            assert!(!place.socket().exists(), "left behind (the runtime is gone: {gone})");
            drop(client);
            drop((of_server.close(), of_client.close(), of_server, of_client));
            drop(runtime);
        }
    }
}

#[test]
fn close_outside_or_after_runtime_reports_every_event() {
    for gone in [false, true] {
        for runtime in runtimes() {
            let place = Place::new();
            let (server, client) = runtime.block_on(connected(&place));
            let (report, mut events) = {
                let events = Events::new();
                (events.reporter(), events)
            };
            server.on_connection_close({
                let report = report.clone();
                move |_id, _| report("connection close")
            });
            server.on_close({
                let report = report.clone();
                move || report("server close")
            });
            client.on_disconnect({
                let report = report.clone();
                move |_| report("disconnect")
            });
            client.on_close(move || report("client close"));
            let mut runtime = Some(runtime);
            if gone {
                drop(runtime.take());
            }
            let closing = (server.close(), client.close());
            let waiter = runtime.unwrap_or_else(|| {
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
            });
            waiter.block_on(async {
                soon("the server's close", closing.0).await;
                soon("the client's close", closing.1).await;
            });
            assert!(!place.socket().exists());
            let mut events = events.rest();
            let position = |event| events.iter().position(|seen| *seen == event);
            assert!(position("connection close") < position("server close"), "{events:?}");
            assert!(position("disconnect") < position("client close"), "{events:?}");
            events.sort_unstable();
            assert_eq!(
                events,
                ["client close", "connection close", "disconnect", "server close"],
                "gone: {gone}"
            );
        }
    }
}

#[test]
fn close_of_unused_endpoints_needs_no_runtime() {
    let place = Place::new();
    let (server, client) = (Server::new(place.socket()), Client::new(place.socket()));
    let mut numbers = server.subscribe::<Number>();
    drop((server.close(), client.close()));
    assert!(futures::FutureExt::now_or_never(server.closed()).is_some());
    assert!(futures::FutureExt::now_or_never(client.closed()).is_some());
    assert!(futures::FutureExt::now_or_never(numbers.next()).flatten().is_none());
    drop((server, client, Server::new(place.socket()), Client::new(place.socket())));
    assert!(!place.socket().exists());
}
