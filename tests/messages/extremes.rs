//! Every limit at 0, at 1 and at the largest value of its type: nothing overflows, and the behaviour stays sensible.

use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{
    Client, ClientBuilder, CloseCause, ConnectError, Error, MessageErrorKind, SendError, Server,
    ServerBuilder, Topic,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "number"]
struct Number(u64);

/// A text of 2 MiB, more than any socket buffer holds.
fn long() -> Box<RawValue> {
    RawValue::from_string(format!("\"{}\"", "x".repeat(2 * 1024 * 1024))).unwrap()
}

/// Sends a hundred paced messages each way, and then one that is longer than any buffer.
async fn converse(server: ServerBuilder, client: ClientBuilder) {
    let (server, client) = (server.build(), client.build());
    let mut ids = Events::new();
    server.on_connection(ids.reporter());
    let (mut at_server, mut at_client) = (server.subscribe::<Number>(), client.subscribe::<Number>());
    let mut long_ones = Events::new();
    let report = long_ones.reporter();
    server.on_topic("long", move |message, _id| report(message.as_str().len()));
    let report = long_ones.reporter();
    client.on_topic("long", move |message| report(message.as_str().len()));
    server.listen().await.unwrap();
    soon("the connection", client.connect()).await.unwrap();
    let id = ids.next().await;
    for number in 0..100 {
        soon("the client's turn", client.send_async(&Number(number))).await.unwrap();
        match number % 2 {
            0 => soon("the server's turn", server.send_async(&Number(number), id)).await.unwrap(),
            _ => assert_eq!(soon("a broadcast", server.broadcast_async(&Number(number))).await.unwrap(), 1),
        }
    }
    for number in 0..100 {
        assert_eq!(soon("the message", at_server.next()).await.unwrap().0.0, number);
        assert_eq!(soon("the message", at_client.next()).await.unwrap().0, number);
    }
    soon("an empty outbox", client.flush()).await.unwrap();
    client.send_raw("long", &long()).unwrap();
    long_ones.next().await;
    server.send_raw("long", &long(), id).unwrap();
    assert_eq!(long_ones.next().await, long().get().len());
    soon("the close", client.close()).await;
    soon("the close", server.close()).await;
}

support::both_flavours! {
    async fn outbox_len_extreme_passes_everything_in_order() {
        for bytes in [0, 1, usize::MAX] {
            let place = Place::new();
            converse(
                Server::builder(place.socket()).outbox_len(bytes),
                Client::builder(place.socket()).outbox_len(bytes),
            )
            .await;
            let place = Place::new();
            converse(Server::builder(place.socket()).outbox_total_len(bytes), Client::builder(place.socket())).await;
        }
    }

    async fn outbox_len_zero_or_one_takes_one_message_at_a_time() {
        for (outbox, total) in [(0, usize::MAX), (1, usize::MAX), (usize::MAX, 0), (usize::MAX, 1)] {
            let place = Place::new();
            let server = Server::builder(place.socket()).outbox_len(outbox).outbox_total_len(total).build();
            let mut ids = Events::new();
            server.on_connection(ids.reporter());
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            let id = ids.next().await;
            // More than the socket buffer holds, so that a part stays queued.
            server.send_raw("long", &long(), id).unwrap();
            match server.send(&Number(1), id).unwrap_err() {
                SendError::OutboxFull { client_id, limit, queued, .. } => {
                    assert_eq!((client_id, limit), (Some(id), outbox));
                    assert!(queued > 0);
                }
                SendError::OutboxTotalFull { limit, queued, .. } => {
                    assert_eq!(limit, total);
                    assert!(queued > 0);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(server.clients(), [id], "a send that failed ended the connection");
            peer.line().await;
            soon("room", server.send_async(&Number(2), id)).await.unwrap();
            assert!(peer.line().await.ends_with(":2}"));
        }
    }

    async fn max_message_len_extreme_is_applied() {
        for limit in [0, 1] {
            let place = Place::new();
            let server = Server::builder(place.socket()).max_message_len(limit).build();
            let (mut ids, mut errors) = (Events::new(), Events::new());
            server.on_connection(ids.reporter());
            let report = errors.reporter();
            server.on_message_error(move |error, _id| report((error.kind().clone(), error.len())));
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            let id = ids.next().await;
            let error = server.send_raw("", &(), id).unwrap_err();
            assert!(matches!(error, SendError::TooLarge { limit: l, .. } if l == limit), "{error:?}");
            for _ in 0..3 {
                peer.write("{}\n").await;
                assert_eq!(errors.next().await, (MessageErrorKind::TooLong { limit }, 2));
            }
        }
        let place = Place::new();
        converse(
            Server::builder(place.socket()).max_message_len(usize::MAX),
            Client::builder(place.socket()).max_message_len(usize::MAX),
        )
        .await;
    }

    async fn raw_len_extreme_keeps_that_many_bytes_and_the_true_length() {
        for (limit, kept) in [(0, ""), (1, "n"), (usize::MAX, "nonsense")] {
            let place = Place::new();
            let server = Server::builder(place.socket()).raw_len(limit).build();
            let mut errors = Events::new();
            let report = errors.reporter();
            server.on_message_error(move |error, _id| report((error.raw().to_vec(), error.len())));
            server.listen().await.unwrap();
            RawPeer::connect(place.socket()).await.write("nonsense\n").await;
            assert_eq!(errors.next().await, (kept.as_bytes().to_vec(), 8));
        }
    }

    async fn max_topic_len_extreme_is_applied() {
        for (limit, fits, too_long) in [(0, None, "a"), (1, Some("a"), "ab"), (usize::MAX, Some("long"), "")] {
            let place = Place::new();
            let server = Server::builder(place.socket()).max_topic_len(limit).build();
            let (mut ids, mut seen) = (Events::new(), Events::new());
            server.on_connection(ids.reporter());
            let (report, report_error) = (seen.reporter(), seen.reporter());
            server.on_message(move |_, topic, _id| report(topic.to_owned()));
            server.on_message_error(move |error, _id| report_error(error.to_string()));
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            let id = ids.next().await;
            if let Some(topic) = fits {
                server.send_raw(topic, &(), id).unwrap();
                let line = peer.line().await;
                peer.write(line + "\n").await;
                assert_eq!(seen.next().await, topic);
            }
            if !too_long.is_empty() {
                let error = server.send_raw(too_long, &(), id).unwrap_err();
                assert!(matches!(error, SendError::TopicTooLong { .. }), "{error:?}");
                peer.write(format!("{{\"topic\":\"{too_long}\",\"message\":1}}\n")).await;
                let error = seen.next().await;
                assert!(error.contains(&format!("limit of {limit}")), "{error}");
                assert_eq!(server.clients(), [id]);
            }
        }
    }

    async fn timeouts_max_never_elapse() {
        let place = Place::new();
        converse(
            Server::builder(place.socket())
                .write_stall(Duration::MAX)
                .incomplete_timeout(Duration::MAX)
                .drain(Duration::MAX),
            Client::builder(place.socket())
                .write_stall(Duration::MAX)
                .incomplete_timeout(Duration::MAX)
                .drain(Duration::MAX)
                .connect_timeout(Duration::MAX)
                .retry_delay(Duration::MAX)
                .reconnect_delay(Duration::ZERO..Duration::MAX)
                .give_up_after(u32::MAX),
        )
        .await;
    }

    async fn drain_zero_ends_at_once_and_counts_unsent() {
        let place = Place::new();
        let server = Server::builder(place.socket()).drain(Duration::ZERO).build();
        let (mut ids, mut closes) = (Events::new(), Events::new());
        server.on_connection(ids.reporter());
        let report = closes.reporter();
        server.on_connection_close(move |_id, reason| report(reason.clone()));
        server.listen().await.unwrap();
        let peer = RawPeer::connect(place.socket()).await;
        server.send_raw("long", &long(), ids.next().await).unwrap();
        soon("the close", server.close()).await;
        let [reason] = &closes.rest()[..] else { panic!("not one close") };
        assert!(matches!(reason.cause, CloseCause::Closed) && reason.unsent_messages == 1, "{reason}");
        drop(peer);
    }

    async fn write_stall_zero_disconnects_only_the_slow_consumer() {
        let place = Place::new();
        let server = Server::builder(place.socket()).write_stall(Duration::ZERO).build();
        let (mut ids, mut closes) = (Events::new(), Events::new());
        server.on_connection(ids.reporter());
        let report = closes.reporter();
        server.on_connection_close(move |id, reason| report((id, reason.clone())));
        server.listen().await.unwrap();
        let mut reading = RawPeer::connect(place.socket()).await;
        let reader = ids.next().await;
        let _stuck = RawPeer::connect(place.socket()).await;
        let stuck = ids.next().await;
        for number in 0..100 {
            server.send(&Number(number), reader).unwrap();
            assert!(reading.line().await.ends_with(&format!(":{number}}}")));
        }
        server.send_raw("long", &long(), stuck).unwrap();
        let (id, reason) = closes.next().await;
        assert!(id == stuck && matches!(reason.cause, CloseCause::SlowClient), "{id}: {reason}");
        assert_eq!(server.clients(), [reader]);
    }

    async fn incomplete_timeout_zero_takes_only_whole_messages() {
        let place = Place::new();
        let server = Server::builder(place.socket()).incomplete_timeout(Duration::ZERO).build();
        let (mut numbers, mut closes) = (server.subscribe::<Number>(), Events::new());
        let report = closes.reporter();
        server.on_connection_close(move |_id, reason| report(reason.clone()));
        server.on_message_error(|_, _id| {});
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for number in 0..10 {
            peer.write(format!("{{\"topic\":\"number\",\"message\":{number}}}\n")).await;
            assert_eq!(soon("the message", numbers.next()).await.unwrap().0.0, number);
        }
        peer.write("{\"topic\":").await;
        let reason = closes.next().await;
        assert!(matches!(reason.cause, CloseCause::Incomplete), "{reason}");
        assert_eq!(peer.closed().await, b"");
    }

    async fn max_clients_extreme_is_applied() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_clients(0).build();
        let mut events = Events::new();
        let report = events.reporter();
        server.on_error(move |error| report(matches!(error, Error::TooManyClients { limit: 0, .. })));
        server.on_connection(|_id| panic!("a client was accepted"));
        server.listen().await.unwrap();
        for _ in 0..3 {
            assert_eq!(RawPeer::connect(place.socket()).await.closed().await, b"");
            assert!(events.next().await);
        }
        let place = Place::new();
        converse(Server::builder(place.socket()).max_clients(usize::MAX), Client::builder(place.socket())).await;
    }

    async fn delays_and_attempts_zero_are_applied() {
        let place = Place::new();
        // 0 attempts count as 1.
        for attempts in [0, 1] {
            let client = Client::builder(place.socket()).give_up_after(attempts).build();
            let error = soon("the end of the attempts", client.connect()).await.unwrap_err();
            assert!(matches!(error, ConnectError::GaveUp { attempts: 1, .. }), "{error:?}");
        }
        let client = Client::builder(place.socket()).connect_timeout(Duration::ZERO).give_up_after(1).build();
        // The attempt ends at once.
        let error = soon("the end of the attempts", client.connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::GaveUp { .. }), "{error:?}");

        let client = Client::builder(place.socket()).retry_delay(Duration::ZERO).reconnect_delay(Duration::ZERO).build();
        let mut events = Events::new();
        let (failed, back) = (events.reporter(), events.reporter());
        client.on_connect_error(move |_| failed("failed"));
        client.on_reconnect(move || back("back"));
        let server = Server::new(place.socket());
        let mut ids = Events::new();
        server.on_connection(ids.reporter());
        let late = async {
            // Attempts without a pause leave other tasks their turns.
            for _ in 0..10 {
                assert_eq!(events.next().await, "failed");
            }
            server.listen().await.unwrap();
        };
        let (connected, ()) = soon("both", async { tokio::join!(client.connect(), late) }).await;
        connected.unwrap();
        events.rest();
        server.disconnect(ids.next().await);
        assert_eq!(events.next().await, "back");
    }

    async fn retry_delay_max_close_ends_it() {
        let place = Place::new();
        let client = Client::builder(place.socket()).retry_delay(Duration::MAX).build();
        let mut events = Events::new();
        let report = events.reporter();
        client.on_connect_error(move |_| report(()));
        let closing = async {
            events.next().await;
            client.close().await;
        };
        let (connected, ()) = soon("both", async { tokio::join!(client.connect(), closing) }).await;
        assert!(matches!(connected, Err(ConnectError::Closed { .. })));
    }
}
