//! A listener may call everything, on a server and on a client, without a deadlock and without delaying other
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, CloseCause, SendError, Server, ServerHandle, Topic};
use support::{Events, Place, RawPeer, soon};
use tokio::sync::{Notify, Semaphore};

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "number"]
struct Number(u64);

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "request"]
struct Request(String);

/// Calls everything that a handle has.
fn everything(server: &ServerHandle) {
    let _ = server.broadcast(&Number(1));
    for client_id in server.clients() {
        let _ = (
            server.send(&Number(2), client_id),
            server.peer(client_id),
            server.broadcast_except(&Number(3), client_id),
        );
    }
    let again = server.clone();
    let message = server.on::<Request>(move |_, _| drop(again.clients()));
    let event = server.on_connection(|_| {});
    drop(server.subscribe::<Request>());
    // A closed server registers nothing.
    let _ = (server.off(message), server.off(event));
}

support::both_flavours! {
    async fn handle_inside_any_listener_does_everything() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let call = |name: &'static str| {
            let (report, handle) = (events.reporter(), server.handle());
            move || {
                everything(&handle);
                report(name);
            }
        };
        let (one, two, three, four, five, six) = (call("typed"), call("every"), call("async"), call("error"), call("message error"), call("connection"));
        let (seven, eight, nine) = (call("connection close"), call("close"), call("listening"));
        server.on::<Number>(move |_, _| {
            one();
            panic!("for the error event");
        });
        server.on_message(move |_, _, _| two());
        server.on_async::<Number>(move |_, _| {
            three();
            let three = three.clone();
            async move {
                tokio::task::yield_now().await;
                three();
            }
        });
        server.on_error(move |_| four());
        server.on_message_error(move |_, _| five());
        server.on_connection(move |_| six());
        server.on_connection_close(move |_, _| seven());
        server.on_close(eight);
        server.on_listening(nine);
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"number\",\"message\":1}\nbad\n").await;
        let expected = ["listening", "connection", "every", "typed", "error", "async", "async", "message error"];
        assert_eq!(events.take(8).await, expected);
        drop(peer);
        assert_eq!(events.next().await, "connection close");
        soon("closing", server.close()).await;
        assert_eq!(events.next().await, "close");
    }

    async fn send_from_listeners_of_both_ends_does_not_deadlock() {
        const COUNT: u64 = 5_000;
        let (place, mut done) = (Place::new(), Events::new());
        let server = Server::builder(place.socket()).outbox_len(64 * 1024 * 1024).build();
        let (reply, report) = (server.handle(), done.reporter());
        server.on::<Number>(move |msg, client_id| {
            for _ in 0..2 {
                reply.send(&Request("x".repeat(500)), client_id).unwrap();
            }
            if msg.0 == COUNT {
                report("server");
            }
        });
        server.listen().await.unwrap();
        let client = Client::builder(place.socket()).outbox_len(64 * 1024 * 1024).build();
        let (back, report, received) = (client.handle(), done.reporter(), AtomicUsize::new(0));
        client.on::<Request>(move |_| {
            let received = received.fetch_add(1, Ordering::Relaxed) as u64 + 1;
            if received < COUNT {
                back.send(&Number(received + 1)).unwrap();
            }
            if received == 2 * COUNT {
                report("client");
            }
        });
        client.connect().await.unwrap();
        client.send(&Number(1)).unwrap();
        let mut finished = done.take(2).await;
        finished.sort_unstable();
        assert_eq!(finished, ["client", "server"]);
    }

    async fn close_and_disconnect_inside_listener_end() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let handle = server.handle();
        server.on::<Number>(move |msg, client_id| match msg.0 {
            0 => assert!(handle.disconnect(client_id)),
            _ => drop(handle.close()),
        });
        let report = events.reporter();
        server.on::<Number>(move |msg, _| report(format!("received {}", msg.0)));
        let report = events.reporter();
        server.on_connection_close(move |id, reason| report(format!("{id} {:?}", reason.cause)));
        server.listen().await.unwrap();
        let mut first = RawPeer::connect(place.socket()).await;
        first.write("{\"topic\":\"number\",\"message\":0}\n{\"topic\":\"number\",\"message\":5}\n").await;
        first.closed().await;
        assert_eq!(events.next().await, "received 0", "not every listener got the message");
        assert_eq!(events.next().await, format!("1 {:?}", CloseCause::Disconnected));
        let client = Client::new(place.socket());
        let (own, report) = (client.handle(), events.reporter());
        client.on_disconnect(move |_| {
            drop(own.close());
            report("client".to_owned());
        });
        client.connect().await.unwrap();
        client.send(&Number(1)).unwrap();
        soon("the end of the client", client.closed()).await;
        soon("the end of the server", server.closed()).await;
        let mut rest = events.take(2).await;
        rest.sort_unstable();
        assert_eq!(rest, [format!("2 {:?}", CloseCause::Closed), "client".to_owned()], "a message was dispatched after `close`");
    }

    async fn close_awaited_inside_listener_ends_before_drain() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (handle, report) = (server.handle(), events.reporter());
        server.on_async::<Number>(move |_, _| {
            let (handle, report) = (handle.clone(), report.clone());
            async move {
                handle.close().await;
                report("awaited");
            }
        });
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"number\",\"message\":1}\n").await;
        // Well within the drain, whose end would abort it.
        support::within("closing", socket_ipc::limits::DRAIN / 2, server.closed()).await;
        assert_eq!(events.next().await, "awaited");
    }

    async fn listener_awaits_closed_keeps_message_order() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (gate, handle, report) = (Arc::new(Semaphore::new(0)), server.handle(), events.reporter());
        let inside = Arc::clone(&gate);
        server.on_async::<Number>(move |msg, _| {
            let (gate, handle, report) = (Arc::clone(&inside), handle.clone(), report.clone());
            async move {
                report(format!("begins {}", msg.0));
                tokio::select! {
                    () = handle.closed() => report("closed".to_owned()),
                    permit = gate.acquire() => permit.unwrap().forget(),
                }
                report(format!("ends {}", msg.0));
            }
        });
        let report = events.reporter();
        server.on::<Number>(move |msg, _| report(format!("second {}", msg.0)));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let number = |number| format!("{{\"topic\":\"number\",\"message\":{number}}}\n");
        peer.write(number(1) + &number(2)).await;
        assert_eq!(events.next().await, "begins 1");
        // Another client's message is dispatched meanwhile: by then, a message of the first out of turn would be, too.
        let mut other = RawPeer::connect(place.socket()).await;
        other.write(number(3)).await;
        assert_eq!(events.next().await, "begins 3");
        gate.add_permits(2);
        let mut received = events.take(5).await;
        received.retain(|event| !event.ends_with('3'));
        assert_eq!(received, ["ends 1", "second 1", "begins 2"]);
        drop(server.close());
        support::within("closing", socket_ipc::limits::DRAIN / 2, server.closed()).await;
        assert_eq!(events.take(2).await, ["closed", "ends 2"]);
    }

    async fn send_async_inside_listener_client_left_returns_error() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let (handle, report) = (server.handle(), events.reporter());
        server.on_async::<Request>(move |_, client_id| {
            let (handle, report) = (handle.clone(), report.clone());
            async move {
                report("called".to_owned());
                // Waits in the middle of a reply that the client does not read.
                let error = loop {
                    if let Err(error) = handle.send_async(&Request("x".repeat(50_000)), client_id).await {
                        break error;
                    }
                };
                assert!(matches!(error, SendError::UnknownClient { .. }), "{error}");
                assert!(handle.clients().is_empty());
                report("send failed".to_owned());
            }
        });
        let report = events.reporter();
        server.on_connection_close(move |_, reason| report(format!("{:?}", reason.cause)));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"request\",\"message\":\"?\"}\n").await;
        assert_eq!(events.next().await, "called");
        drop(peer);
        assert_eq!(events.next().await, "send failed");
        assert_eq!(events.next().await, format!("{:?}", CloseCause::PeerClosed));
    }

    async fn send_async_and_flush_inside_listener_complete() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Server::new(place.socket());
        let greeter = server.handle();
        server.on_connection(move |client_id| greeter.send(&Number(200), client_id).unwrap());
        let received = AtomicUsize::new(0);
        let report = events.reporter();
        server.on::<Request>(move |_, _| report(received.fetch_add(1, Ordering::Relaxed)));
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        let (back, flushed) = (client.handle(), Arc::new(Notify::new()));
        let done = Arc::clone(&flushed);
        client.on_async::<Number>(move |msg| {
            let (back, done) = (back.clone(), Arc::clone(&done));
            async move {
                for _ in 0..msg.0 {
                    back.send_async(&Request("x".repeat(50_000))).await.unwrap();
                }
                back.flush().await.unwrap();
                done.notify_one();
            }
        });
        client.connect().await.unwrap();
        soon("flushing", flushed.notified()).await;
        assert_eq!(events.take(200).await, (0..200).collect::<Vec<_>>());
    }

    async fn listener_owning_a_handle_keeps_nothing_alive() {
        struct Owned(Arc<AtomicBool>, #[allow(dead_code, reason = "only owned")] ServerHandle);
        impl Drop for Owned {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (place, gone) = (Place::new(), Arc::new(AtomicBool::new(false)));
        let server = Server::new(place.socket());
        let owned = Owned(Arc::clone(&gone), server.handle());
        server.on::<Number>(move |_, _| assert!(!owned.0.load(Ordering::Relaxed)));
        server.listen().await.unwrap();
        drop(server);
        assert!(gone.load(Ordering::Relaxed));
    }
}
