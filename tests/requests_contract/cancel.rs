//! Requests whose requester gives up.

use futures::FutureExt as _;
use socket_ipc::{ReplySender, SendError, Wire};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::*;

/// A request whose responder runs on.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "keep", reply = u64, no_cancel)]
struct Keep(u64);

/// A message whose listener waits for the test.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "wait"]
struct Wait;

fn request(number: u64, id: &str) -> String {
    format!("{{\"topic\":\"work\",\"message\":{number},\"id\":{id}}}\n")
}

fn cancel(id: &str) -> String {
    format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{id},\"re\":0}}\n")
}

/// A round trip past everything that is held back: the server has scanned all lines before it.
async fn scanned(server: &Server, (peer, id): (&mut RawPeer, ClientId)) {
    let reply = server.request_raw("scan", &(), id);
    let line = peer.line().await;
    let number = line.rsplit(':').next().unwrap().trim_end_matches('}');
    assert!(line.starts_with("{\"topic\":\"scan\""), "{line}");
    peer.write(format!("{{\"topic\":\"scan\",\"message\":null,\"re\":{number}}}\n")).await;
    soon("the scan", reply).await.unwrap();
}

support::both_flavours! {
    async fn reply_future_dropped_drops_responder_and_frees_its_place() {
        let (_place, server, client) = connected_with(|server| server.max_requests(1), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        for number in 1..=20 {
            let reply = client.request(&Work(number as u64));
            assert_eq!(begun.next().await, number as u64);
            drop(reply);
            // Its only place is free within a round trip, and its guard is dropped.
            ping(&client).await;
            assert_eq!((guards.begun(), guards.dropped()), (number, number));
        }
        assert_eq!((client.stats().late_replies, server.stats().late_replies), (0, 0));
    }

    async fn reply_future_timed_out_drops_responder_and_frees_its_place() {
        let (_place, server, client) = connected_with(|server| server.max_requests(1), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        for number in 1..=20 {
            let reply = client.request(&Work(number as u64));
            assert_eq!(begun.next().await, number as u64);
            let error = failed(reply.timeout(Duration::from_millis(1))).await;
            assert!(matches!(error, RequestError::Timeout { .. }), "{error:?}");
            ping(&client).await;
            assert_eq!((guards.begun(), guards.dropped()), (number, number));
        }
        // A raw request, too.
        drop(client.request_raw("work", &21));
        ping(&client).await;
        assert_eq!(guards.begun(), guards.dropped());
    }

    async fn request_of_server_dropped_drops_responder_of_client() {
        let (_place, server, client) = connected_with(|server| server, |client| client.max_requests(1)).await;
        let (guards, mut begun) = (Guards::default(), Events::new());
        let (held, report) = (guards.clone(), begun.reporter());
        client.respond_async::<Work>(move |Work(number)| {
            let guard = held.begin();
            report(number);
            async move {
                let _guard = guard;
                std::future::pending::<u64>().await
            }
        }).unwrap();
        let id = server.clients()[0];
        for number in 1..=20 {
            let reply = server.request(&Work(number as u64), id);
            assert_eq!(begun.next().await, number as u64);
            if number % 2 == 0 {
                drop(reply);
            } else {
                failed(reply.timeout(Duration::from_millis(1))).await;
            }
            assert_eq!(soon("a round trip", server.request(&Ping(1), id)).await.unwrap(), 1);
            assert_eq!((guards.begun(), guards.dropped()), (number, number));
        }
    }

    async fn cancel_line_is_as_documented() {
        let (place, server, _client) = connected().await;
        let (mut peer, id) = raw_peer(&place, &server).await;
        drop(server.request(&Work(1), id));
        assert_eq!(peer.line().await, r#"{"topic":"work","message":1,"id":1}"#);
        assert_eq!(peer.line().await, r#"{"topic":"socket-ipc.cancel","message":1,"re":0}"#);
        let reply = server.request(&Work(2), id);
        assert_eq!(peer.line().await, r#"{"topic":"work","message":2,"id":2}"#);
        failed(reply.timeout(Duration::from_millis(1))).await;
        assert_eq!(peer.line().await, r#"{"topic":"socket-ipc.cancel","message":2,"re":0}"#);
        // A reply that came is not cancelled.
        let reply = server.request(&Work(3), id);
        peer.line().await;
        peer.write("{\"topic\":\"work\",\"message\":3,\"re\":3}\n").await;
        assert_eq!(soon("a reply", reply).await.unwrap(), 3);
        let reply = server.request(&Work(4), id);
        peer.line().await;
        peer.write("{\"topic\":\"work\",\"message\":4,\"re\":4}\n").await;
        raw_ping(&mut peer).await;
        // It came before it was dropped.
        drop(reply);
        raw_ping(&mut peer).await;
    }

    async fn responder_dropped_by_cancel_sends_nothing() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write(request(1, "1")).await;
        begun.next().await;
        peer.write(cancel("1")).await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
    }

    async fn held_request_that_was_cancelled_is_never_dispatched() {
        let (place, server, client) = connected_with(|server| server.max_requests(1), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<Work>(move |Work(number), _| report(number));
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write([request(1, "1"), request(2, "2"), request(3, "\"3\""), request(4, "4")].concat()).await;
        assert_eq!(begun.next().await, 1);
        peer.write([cancel("2"), cancel("\"3\"")].concat()).await;
        scanned(&server, (&mut peer, id)).await;
        assert_eq!(guards.dropped(), 0);
        // They pass the fourth, which is held back.
        peer.write(cancel("1")).await;
        assert_eq!(begun.next().await, 4);
        peer.write(cancel("4")).await;
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (2, 2));
        assert_eq!(received.rest(), [1, 4], "no listener received the others");
        // The same by the library.
        let first = client.request(&Work(11));
        assert_eq!(begun.next().await, 11);
        let replies: Vec<_> = (12..30).map(|number| client.request(&Work(number))).collect();
        let last = client.request(&Work(30));
        drop(replies);
        drop(first);
        assert_eq!(begun.next().await, 30);
        drop(last);
        ping(&client).await;
        assert!(begun.rest().is_empty());
        assert_eq!(guards.dropped(), 4);
    }

    async fn request_behind_waiting_listener_that_was_cancelled_is_never_dispatched() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (gate, mut waiting) = (Arc::new(Semaphore::new(0)), Events::new());
        let (closed, report) = (Arc::clone(&gate), waiting.reporter());
        server.on_async::<Wait>(move |_, _| {
            report(());
            let closed = Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write(["{\"topic\":\"wait\",\"message\":null}\n", &request(1, "1"), &request(2, "2"), &cancel("1")].concat()).await;
        waiting.next().await;
        scanned(&server, (&mut peer, id)).await;
        gate.add_permits(1);
        assert_eq!(begun.next().await, 2);
        peer.write(cancel("2")).await;
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (1, 1));
    }

    async fn held_requests_in_thousands_that_were_cancelled_are_never_dispatched() {
        const COUNT: u64 = 3_000;
        let (_place, server, client) =
            connected_with(|server| server.max_requests(5_000), |client| client.max_requests(5_000)).await;
        let (guards, mut begun) = works_for_ever(&server);
        let gate = Arc::new(Semaphore::new(0));
        let closed = Arc::clone(&gate);
        server.on_async::<Wait>(move |_, _| {
            let closed = Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        client.send(&Wait).unwrap();
        let mut replies: Vec<_> = (1..=COUNT).map(|number| client.request(&Work(number))).collect();
        let last = replies.pop();
        drop(replies);
        // The reply comes after the cancels, and past everything that is held back.
        soon("a round trip", server.request(&Ping(1), server.clients()[0])).await.unwrap();
        gate.add_permits(1);
        assert_eq!(begun.next().await, COUNT);
        drop(last);
        ping(&client).await;
        assert_eq!((guards.begun(), guards.dropped()), (1, 1));
    }

    async fn front_request_cancelled_while_its_listener_waits_calls_no_responder() {
        let (place, server, _client) = connected().await;
        let (gate, mut waiting) = (Arc::new(Semaphore::new(0)), Events::new());
        let (closed, report) = (Arc::clone(&gate), waiting.reporter());
        server.on_async::<Work>(move |Work(number), _| {
            report(number);
            let closed = Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        let mut later = Events::new();
        let report = later.reporter();
        server.on_topic("work", move |message, _| report(message.to_string()));
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, id) = raw_peer(&place, &server).await;
        for (number, id_text, others, is_cancelled) in [
            (1, "1", "2", true),
            (2, "\"a\"", "\"b\"", true),
            (3, "3.0", "3", true),
            (4, "4", "4.0", false),
        ] {
            peer.write(request(number, id_text)).await;
            assert_eq!(waiting.next().await, number);
            peer.write(cancel(others)).await;
            if is_cancelled {
                peer.write(cancel(id_text)).await;
            }
            scanned(&server, (&mut peer, id)).await;
            gate.add_permits(1);
            // A message that has reached one listener reaches all of them.
            assert_eq!(later.next().await, number.to_string());
            if !is_cancelled {
                assert_eq!(begun.next().await, number);
                peer.write(cancel(id_text)).await;
            }
            raw_ping(&mut peer).await;
        }
        assert!(begun.rest().is_empty());
        assert_eq!((guards.begun(), guards.dropped()), (1, 1));
    }

    async fn cancel_passes_messages_that_are_held_back() {
        let (place, server, _client) = connected_with(|server| server.max_requests(2), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        let mut news = Events::new();
        let report = news.reporter();
        server.on_topic("news", move |message, _| report(message.as_str().len()));
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write([request(1, "1"), request(2, "2")].concat()).await;
        begun.take(2).await;
        // Messages of 500 kB hold nothing up.
        for _ in 0..50 {
            peer.write(format!("{{\"topic\":\"news\",\"message\":\"{}\"}}\n", "x".repeat(10_000))).await;
        }
        scanned(&server, (&mut peer, id)).await;
        assert!(news.rest().is_empty(), "they are held back");
        peer.write(cancel("2")).await;
        assert_eq!(news.take(50).await, [10_002; 50]);
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
    }

    async fn no_cancel_responder_runs_on() {
        let (place, server, client) = connected().await;
        let gate = Arc::new(Semaphore::new(0));
        let (guards, mut begun) = (Guards::default(), Events::new());
        let (held, report, closed) = (guards.clone(), begun.reporter(), Arc::clone(&gate));
        let token = server.respond_async::<Keep>(move |Keep(number), _| {
            let (guard, closed) = (held.begin(), Arc::clone(&closed));
            report(number);
            async move {
                let _guard = guard;
                closed.acquire().await.unwrap().forget();
                number
            }
        }).unwrap();
        let (mut peer, id) = raw_peer(&place, &server).await;
        drop(client.request(&Keep(1)));
        begun.next().await;
        failed(client.request(&Keep(2)).timeout(Duration::from_millis(1))).await;
        begun.next().await;
        // A cancel of a foreign program changes nothing.
        peer.write("{\"topic\":\"keep\",\"message\":3,\"id\":3}\n").await;
        begun.next().await;
        peer.write(cancel("3")).await;
        raw_ping(&mut peer).await;
        ping(&client).await;
        assert_eq!(guards.dropped(), 0);
        gate.add_permits(3);
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":3,"re":3}"#);
        until("the end of the others", || guards.dropped() == 3).await;
        ping(&client).await;
        assert_eq!(client.stats().late_replies, 2);
        // No line is sent.
        drop(server.request(&Keep(1), id));
        failed(server.request(&Keep(2), id).timeout(Duration::from_millis(1))).await;
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":1,"id":1}"#);
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":2,"id":2}"#);
        raw_ping(&mut peer).await;
        server.off(token);
        // A sender is not told.
        let mut given = Events::<ReplySender<Keep>>::new();
        let report = given.reporter();
        server.respond_with::<Keep>(move |_, reply| report(reply)).unwrap();
        peer.write(["{\"topic\":\"keep\",\"message\":4,\"id\":4}\n", &cancel("4")].concat()).await;
        let sender = given.next().await;
        raw_ping(&mut peer).await;
        assert!(sender.cancelled().now_or_never().is_none());
        sender.send(Ok(5)).unwrap();
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":5,"re":4}"#);
    }

    async fn cancel_names_id_as_it_was_written() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        let ids = ["7", "7.0", "70e-1", r#""7""#, r#""\u0037""#, r#""""#, "18446744073709551616", "-7"];
        for (number, id) in ids.iter().enumerate() {
            peer.write(request(number as u64, id)).await;
            begun.next().await;
        }
        peer.write([cancel("07"), cancel("7.00"), cancel("\"7.0\""), cancel("+7"), cancel("\"70e-1\"")].concat()).await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 0);
        for (count, id) in ids.iter().enumerate() {
            peer.write(cancel(id)).await;
            raw_ping(&mut peer).await;
            assert_eq!(guards.dropped(), count + 1, "{id}");
        }
    }

    async fn cancel_of_an_id_in_flight_twice_ends_both() {
        let (place, server, _client) = connected_with(|server| server.max_requests(3), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write([request(1, "7"), request(2, "7"), request(3, "8")].concat()).await;
        begun.take(3).await;
        // The same id a third time, held back.
        peer.write([request(4, "7"), request(5, "9"), cancel("7")].concat()).await;
        scanned(&server, (&mut peer, id)).await;
        assert_eq!(begun.next().await, 5);
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (4, 2));
        peer.write([cancel("8"), cancel("9")].concat()).await;
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (4, 4));
        // Without a cancel each gets a reply.
        peer.write("{\"topic\":\"ping\",\"message\":1,\"id\":7}\n{\"topic\":\"ping\",\"message\":2,\"id\":7}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"ping","message":1,"re":7}"#);
        assert_eq!(peer.line().await, r#"{"topic":"ping","message":2,"re":7}"#);
    }

    async fn cancel_of_unknown_id_does_nothing() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.to_string()));
        let (mut peer, _) = raw_peer(&place, &server).await;
        let (mut other, _) = raw_peer(&place, &server).await;
        // Before the request, of an unknown number, and over another connection.
        peer.write([cancel("1"), cancel("99"), cancel("\"x\""), request(1, "1")].concat()).await;
        assert_eq!(begun.next().await, 1);
        other.write([cancel("1"), cancel("1")].concat()).await;
        raw_ping(&mut other).await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 0);
        // Twice, and of one that is over.
        peer.write([cancel("1"), cancel("1")].concat()).await;
        raw_ping(&mut peer).await;
        peer.write(cancel("\"ping\"")).await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
        assert_eq!(errors.rest(), [""; 0]);
        // The id can be used again.
        peer.write(request(2, "1")).await;
        assert_eq!(begun.next().await, 2);
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
    }

    async fn control_topic_without_re_0_is_a_plain_message() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("socket-ipc.cancel", move |message, _| report(message.to_string()));
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write(request(1, "1")).await;
        begun.next().await;
        peer.write("{\"topic\":\"socket-ipc.cancel\",\"message\":1}\n{\"topic\":\"socket-ipc.cancel\",\"message\":1,\"re\":null}\n").await;
        assert_eq!(received.take(2).await, ["1", "1"]);
        peer.write("{\"topic\":\"socket-ipc.cancel\",\"message\":1,\"re\":1}\n{\"topic\":\"work\",\"message\":1,\"re\":0}\n").await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 0);
        // No listener receives the control line.
        peer.write(cancel("1")).await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
        assert!(received.rest().is_empty());
    }

    async fn request_with_id_0_is_a_request() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"ping\",\"message\":1,\"id\":0}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"ping","message":1,"re":0}"#);
        peer.write([request(1, "0"), cancel("0")].concat()).await;
        begun.next().await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
    }

    async fn node_wires_send_no_control_line() {
        for wire in [Wire::NODE_0_4, Wire::NODE_0_2, Wire::NODE_0_1] {
            let place = Place::new();
            let listener = UnixListener::bind(place.socket()).unwrap();
            let client = Client::builder(place.socket()).wire(wire).build();
            client.connect().await.unwrap();
            let mut server = RawPeer::over(listener.accept().await.unwrap().0);
            drop(client.request(&Work(1)));
            failed(client.request(&Work(2)).timeout(Duration::from_millis(1))).await;
            drop(client.request_raw("work", &3));
            client.send_raw("end", &()).unwrap();
            client.close().await;
            let bytes = String::from_utf8(server.closed().await).unwrap();
            let messages: Vec<_> = bytes.split_terminator(wire.delimiter()).collect();
            assert_eq!(messages.len(), 4, "{bytes}");
            assert!(messages[2].contains("\"id\":3") && messages[3].contains("\"end\""), "{bytes}");
            // A server's, too.
            let place = Place::new();
            let server = Server::builder(place.socket()).wire(wire).build();
            let mut ids = Events::new();
            let report = ids.reporter();
            server.on_connection(report);
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            let id = ids.next().await;
            drop(server.request(&Work(1), id));
            failed(server.request(&Work(2), id).timeout(Duration::from_millis(1))).await;
            server.close().await;
            let bytes = String::from_utf8(peer.closed().await).unwrap();
            assert_eq!(bytes.split_terminator(wire.delimiter()).count(), 2, "{bytes}");
            assert!(!bytes.contains("socket-ipc"), "{bytes}");
        }
    }

    async fn ten_thousand_requests_given_up_drop_all_guards() {
        let (place, server, client) = connected().await;
        let (guards, _begun) = works_for_ever(&server);
        for batch in 0..100 {
            let replies: Vec<_> = (0..100).map(|number| client.request(&Work(number))).collect();
            if batch % 4 == 0 {
                // All of them run before they are given up.
                let running = guards.dropped() + 100;
                until("the responders", || guards.begun() >= running).await;
            }
            for (at, reply) in replies.into_iter().enumerate() {
                if at % 10 == 0 {
                    failed(reply.timeout(Duration::ZERO)).await;
                } else {
                    drop(reply);
                }
            }
            ping(&client).await;
            assert_eq!(guards.begun(), guards.dropped());
        }
        assert!(guards.begun() >= 2_500);
        assert_eq!(client.stats().late_replies, 0);
        // A requester that is killed.
        for _ in 0..10 {
            let (mut peer, _) = raw_peer(&place, &server).await;
            let before = guards.begun();
            peer.write((0..100).map(|number| request(number, "1")).collect::<String>()).await;
            until("the responders", || guards.begun() == before + 100).await;
            drop(peer);
            until("the end of the responders", || guards.dropped() == before + 100).await;
        }
    }

    async fn cancels_beyond_outbox_len_are_not_lost() {
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).outbox_len(1_000_000).request_timeout(LONG).build();
        client.connect().await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        let text = "x".repeat(20_000);
        let mut replies = Vec::new();
        let error = loop {
            let mut reply = client.request_raw("work", &text);
            match (&mut reply).now_or_never() {
                None => replies.push(reply),
                Some(result) => break result.unwrap_err(),
            }
            if replies.len() % 8 == 0 {
                // The kernel takes what it can.
                tokio::task::yield_now().await;
            }
        };
        assert!(matches!(&error, RequestError::Send(SendError::OutboxFull { .. })), "{error:?}");
        let count = replies.len();
        assert!(count > 4);
        drop(replies);
        client.close().now_or_never();
        let bytes = String::from_utf8(server.closed().await).unwrap();
        let numbers = |start: &str| -> Vec<u64> {
            let lines = bytes.lines().filter(|line| line.starts_with(start));
            lines.map(|line| line.rsplit(',').find_map(|part| part.strip_prefix("\"id\":").or(part.strip_prefix("\"message\":"))).unwrap().trim_end_matches('}').parse().unwrap()).collect()
        };
        let requests = numbers("{\"topic\":\"work\"");
        assert!(requests.len() <= count);
        assert_eq!(requests, numbers("{\"topic\":\"socket-ipc.cancel\""), "each that was sent is cancelled, once");
    }

    async fn cancels_of_requests_that_nobody_reads_stay_within_their_room() {
        const LEN: u64 = 1_000_000;
        const MOST: u64 = 16;
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket())
            .outbox_len(LEN as usize)
            .max_requests(MOST as usize)
            .request_timeout(LONG)
            .build();
        client.connect().await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        let mut count = 0;
        let error = loop {
            // As many as may be pending, and all are dropped.
            let mut replies: Vec<_> = (0..MOST).map(|number| client.request(&Work(number))).collect();
            let error = replies.iter_mut().find_map(|reply| reply.now_or_never());
            drop(replies);
            assert!(client.stats().outbox_len <= LEN + 64 * MOST, "{}", client.stats().outbox_len);
            count += 1;
            match error {
                Some(result) => break result.unwrap_err(),
                None if count % 4 == 0 => tokio::task::yield_now().await,
                None => {}
            }
        };
        assert!(matches!(&error, RequestError::Send(SendError::OutboxFull { .. })), "{error:?}");
        client.close().now_or_never();
        let bytes = String::from_utf8(server.closed().await).unwrap();
        let lines = |start: &str| bytes.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("{\"topic\":\"work\""), lines("{\"topic\":\"socket-ipc.cancel\""));
        assert!(lines("{\"topic\":\"work\"") > 5_000);
    }
}
