//! The events of a server: its connections and their messages.

use socket_ipc::limits::SUBSCRIPTION_LEN;

use super::*;

fn on_server(event: ServerEvent<Both>) -> String {
    match event {
        ServerEvent::Connected(id) => format!("{id} connected"),
        ServerEvent::Message(found, id) => format!("{id}: {}", message(&found)),
        ServerEvent::Disconnected(id, reason) => format!("{id} disconnected: {:?}", reason.cause),
        other => format!("{other:?}"),
    }
}

/// A stream that a first client has filled to the last place, and that client.
async fn full(place: &Place, server: &Server) -> (Subscription<ServerEvent<Both>>, RawPeer) {
    let (events, mut received) = (server.events::<Both>(), Events::new());
    let report = received.reporter();
    let listener = server.on_topic("number", move |_, _| report(()));
    let mut peer = RawPeer::connect(place.socket()).await;
    peer.write(numbers(1..SUBSCRIPTION_LEN)).await;
    received.take(SUBSCRIPTION_LEN - 1).await;
    server.off(listener);
    assert_eq!(format!("{events:?}"), format!("Subscription {{ held: {SUBSCRIPTION_LEN}, .. }}"));
    (events, peer)
}

/// What a full stream holds.
fn of_full() -> Vec<String> {
    let numbers = (1..SUBSCRIPTION_LEN).map(|number| format!("1: {number}"));
    ["1 connected".to_owned()].into_iter().chain(numbers).collect()
}

support::both_flavours! {
    async fn server_events_connection_messages_and_end_come_in_order() {
        let (place, server) = listening().await;
        let mut events = server.events::<Both>();
        let mut first = RawPeer::connect(place.socket()).await;
        first.write(numbers(0..1) + &word("hello") + &numbers(1..2)).await;
        assert_eq!(next(&mut events, on_server, 4).await, ["1 connected", "1: 0", "1: hello", "1: 1"]);
        // Everything of a client that is gone at once comes before its end.
        let mut second = RawPeer::connect(place.socket()).await;
        second.write(word("in a hurry")).await;
        drop(second);
        assert_eq!(next(&mut events, on_server, 3).await, ["2 connected", "2: in a hurry", "2 disconnected: PeerClosed"]);
        drop(server.close());
        first.closed().await;
        assert_eq!(rest(events, on_server).await, ["1 disconnected: Closed"]);
    }

    async fn server_events_clients_connected_already_come_first() {
        let (place, server) = listening().await;
        let (mut opened, mut closed) = (Events::new(), Events::new());
        let (open, close) = (opened.reporter(), closed.reporter());
        server.on_connection(move |id| open(id.get()));
        server.on_connection_close(move |id, _| close(id.get()));
        let mut peers = Vec::new();
        for id in 1..=3 {
            peers.push(RawPeer::connect(place.socket()).await);
            assert_eq!(opened.next().await, id);
        }
        drop(peers.remove(1));
        assert_eq!(closed.next().await, 2);
        let mut events = server.events::<Both>();
        assert_eq!(next(&mut events, on_server, 2).await, ["1 connected", "3 connected"]);
        peers[0].write(word("hello")).await;
        drop(peers);
        let mut left = next(&mut events, on_server, 3).await;
        left.sort();
        assert_eq!(left, ["1 disconnected: PeerClosed", "1: hello", "3 disconnected: PeerClosed"]);
    }

    async fn server_events_made_in_listener_of_connection_has_it_once() {
        let (place, server) = listening().await;
        let (mut made, handle) = (Events::new(), server.handle());
        let report = made.reporter();
        server.on_connection(move |_| report(handle.events::<Both>()));
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(word("hello")).await;
        drop(peer);
        let mut events: Subscription<_> = made.next().await;
        assert_eq!(next(&mut events, on_server, 3).await, ["1 connected", "1: hello", "1 disconnected: PeerClosed"]);
    }

    async fn server_events_full_dispatches_nothing_of_new_client_until_it_has_room() {
        let (place, server) = listening().await;
        let (mut events, _first) = full(&place, &server).await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("other", move |_, client_id| report(client_id));
        let mut opened = Events::new();
        let open = opened.reporter();
        server.on_connection(open);
        let mut second = RawPeer::connect(place.socket()).await;
        second.write("{\"topic\":\"other\"}\n".to_owned() + &word("hello")).await;
        // The client is connected all the same: it receives.
        let id = opened.next().await;
        for _ in 0..10 {
            server.send(&Number(7), id).unwrap();
            second.line().await;
        }
        assert!(received.rest().is_empty());
        assert_eq!(next(&mut events, on_server, SUBSCRIPTION_LEN).await, of_full());
        assert_eq!(next(&mut events, on_server, 2).await, ["2 connected", "2: hello"]);
        assert_eq!(received.next().await, id);
    }

    async fn server_events_ends_without_room_count_as_clients_and_none_is_lost() {
        const MOST: usize = 5;
        let place = Place::new();
        let server = Server::builder(place.socket()).max_clients(MOST).drain(Duration::from_millis(1)).build();
        let (mut closed, mut opened, mut errors) = (Events::new(), Events::new(), Events::new());
        let (close, open, error) = (closed.reporter(), opened.reporter(), errors.reporter());
        server.on_connection_close(move |id, _| close(id));
        server.on_connection(open);
        server.on_error(move |found| error(matches!(found, Error::TooManyClients { limit: MOST, .. })));
        server.listen().await.unwrap();
        let (mut events, first) = full(&place, &server).await;
        opened.next().await;
        let mut expected = of_full();
        for id in 2..=MOST {
            let _peer = RawPeer::connect(place.socket()).await;
            assert!(server.disconnect(opened.next().await));
            closed.next().await;
            expected.extend([format!("{id} connected"), format!("{id} disconnected: Disconnected")]);
        }
        // One client, and four ends that nobody has read.
        RawPeer::connect(place.socket()).await.closed().await;
        assert!(errors.next().await, "refused");
        assert_eq!(next(&mut events, on_server, expected.len()).await, expected);
        let next_one = RawPeer::connect(place.socket()).await;
        opened.next().await;
        drop((first, next_one));
        let mut left = next(&mut events, on_server, 3).await;
        left.sort();
        assert_eq!(left, ["1 disconnected: PeerClosed", "6 connected", "6 disconnected: PeerClosed"]);
    }

    async fn server_events_not_read_close_ends_and_stream_has_every_end() {
        let place = Place::new();
        let server = Server::builder(place.socket()).drain(SHORT).build();
        server.listen().await.unwrap();
        let (events, mut first) = full(&place, &server).await;
        let mut opened = Events::new();
        let open = opened.reporter();
        server.on_connection(open);
        first.write(word("has no room")).await;
        let _second = RawPeer::connect(place.socket()).await;
        opened.next().await;
        soon("the end of closing", server.close()).await;
        let found = rest(events, on_server).await;
        let (held, left) = found.split_at(SUBSCRIPTION_LEN);
        assert_eq!(held, of_full());
        let mut left: Vec<_> = left.iter().filter(|text| *text != "1: has no room").collect();
        left.sort();
        assert_eq!(left, ["1 disconnected: Closed", "2 connected", "2 disconnected: Closed"]);
    }

    async fn server_events_several_streams_each_have_all() {
        let (place, server) = listening().await;
        let mut first = server.events::<Both>();
        let (unread, mut words) = (server.events::<Both>(), server.events::<Word>());
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(numbers(0..2 * SUBSCRIPTION_LEN) + &word("last")).await;
        let read = next(&mut first, on_server, SUBSCRIPTION_LEN).await;
        assert_eq!(read[SUBSCRIPTION_LEN - 1], format!("1: {}", SUBSCRIPTION_LEN - 2));
        drop(unread);
        let read = next(&mut first, on_server, SUBSCRIPTION_LEN + 2).await;
        assert_eq!(read[SUBSCRIPTION_LEN + 1], "1: last");
        let of_word = |event: ServerEvent<Word>| match event {
            ServerEvent::Message(Word(word), id) => format!("{id}: {word}"),
            other => format!("{other:?}"),
        };
        assert_eq!(next(&mut words, of_word, 2).await, ["Connected(ClientId(1))", "1: last"]);
    }

    async fn server_events_message_of_other_type_is_reported_and_skipped() {
        let (place, server) = listening().await;
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, id| report((id.get(), error.to_string())));
        let mut events = server.events::<Both>();
        RawPeer::connect(place.socket()).await.write(numbers(0..1) + "{\"topic\":\"word\",\"message\":5}\n" + &numbers(1..2)).await;
        assert_eq!(next(&mut events, on_server, 3).await, ["1 connected", "1: 0", "1: 1"]);
        let (id, error) = errors.next().await;
        assert_eq!(id, 1);
        assert!(error.contains("`word`"), "{error}");
    }

    async fn server_events_dropped_or_closed_server_ends_stream() {
        let (place, server) = listening().await;
        let mut events = server.events::<Both>();
        let _peer = RawPeer::connect(place.socket()).await;
        assert_eq!(next(&mut events, on_server, 1).await, ["1 connected"]);
        drop(server);
        assert_eq!(rest(events, on_server).await, [""; 0]);
        let closed = Server::new(place.socket());
        closed.close().await;
        assert_eq!(rest(closed.events::<Both>(), on_server).await, [""; 0]);
    }

    async fn events_next_cancelled_loses_nothing() {
        let (place, server) = listening().await;
        let mut events = server.events::<Both>();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(numbers(0..100)).await;
        let mut found = Vec::new();
        while found.len() < 101 {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                event = events.next() => found.push(on_server(event.unwrap())),
            }
        }
        assert_eq!(found[0], "1 connected");
        assert!(found[1..].iter().map(String::as_str).eq((0..100).map(|number| format!("1: {number}"))));
    }
}
