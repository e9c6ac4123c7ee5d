//! The line of a cancel, and the id in it.

use socket_ipc::Wire;

use super::*;

support::both_flavours! {
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
}
