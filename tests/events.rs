//! Connections and messages in one order, as one bounded stream.

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use socket_ipc::limits::SUBSCRIPTION_LEN;
use socket_ipc::{
    Client, ClientEvent, ConnectError, Error, Server, ServerEvent, Subscription, Topic, TopicSet,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "number"]
struct Number(usize);

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "word"]
struct Word(String);

#[derive(TopicSet, Debug)]
enum Both {
    Number(Number),
    Word(Word),
}

const SHORT: Duration = Duration::from_millis(20);

fn message(message: &Both) -> String {
    match message {
        Both::Number(Number(number)) => number.to_string(),
        Both::Word(Word(word)) => word.clone(),
    }
}

fn on_server(event: ServerEvent<Both>) -> String {
    match event {
        ServerEvent::Connected(id) => format!("{id} connected"),
        ServerEvent::Message(found, id) => format!("{id}: {}", message(&found)),
        ServerEvent::Disconnected(id, reason) => format!("{id} disconnected: {:?}", reason.cause),
        other => format!("{other:?}"),
    }
}

fn on_client(event: ClientEvent<Both>) -> String {
    match event {
        ClientEvent::Connected { again } => format!("connected, again: {again}"),
        ClientEvent::Message(found) => message(&found),
        ClientEvent::Disconnected(reason) => format!("disconnected: {:?}", reason.cause),
        ClientEvent::ConnectFailed(_) => "failed".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The next events as text.
async fn next<E>(events: &mut Subscription<E>, to_text: fn(E) -> String, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.push(to_text(soon("an event", events.next()).await.expect("the end instead of an event")));
    }
    texts
}

/// The events up to the end of the stream, as text.
async fn rest<E>(events: Subscription<E>, to_text: fn(E) -> String) -> Vec<String> {
    soon("the end", events.map(to_text).collect()).await
}

fn numbers(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{{\"topic\":\"number\",\"message\":{number}}}\n")).collect()
}

fn word(word: &str) -> String {
    format!("{{\"topic\":\"word\",\"message\":\"{word}\"}}\n")
}

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}

fn eager(place: &Place) -> Client {
    Client::builder(place.socket()).retry_delay(SHORT).reconnect_delay(SHORT).build()
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

    async fn client_events_restarts_come_in_order() {
        let place = Place::new();
        let client = eager(&place);
        let mut events = client.events::<Both>();
        let mut expected = Vec::new();
        for round in 0..4 {
            let (server, mut sent) = (Server::new(place.socket()), Events::new());
            let (report, handle) = (sent.reporter(), server.handle());
            server.on_connection(move |id| {
                for number in 0..10 {
                    handle.send(&Number(number), id).unwrap();
                    handle.send(&Word(format!("round {round}")), id).unwrap();
                }
                report(());
            });
            server.listen().await.unwrap();
            if round == 0 {
                client.connect().await.unwrap();
            }
            sent.next().await;
            soon("closing", server.close()).await;
            expected.push(format!("connected, again: {}", round > 0));
            for number in 0..10 {
                expected.extend([number.to_string(), format!("round {round}")]);
            }
            expected.push("disconnected: PeerClosed".to_owned());
        }
        let mut found = Vec::new();
        while found.len() < expected.len() {
            found.extend(next(&mut events, on_client, 1).await.into_iter().filter(|text| text != "failed"));
        }
        assert_eq!(found, expected);
    }

    async fn client_events_connection_that_is_there_comes_first() {
        let (place, server) = listening().await;
        let client = eager(&place);
        client.connect().await.unwrap();
        let mut events = client.events::<Both>();
        client.send(&Number(0)).unwrap();
        assert_eq!(next(&mut events, on_client, 1).await, ["connected, again: false"]);
        soon("closing", server.close()).await;
        assert_eq!(next(&mut events, on_client, 1).await, ["disconnected: PeerClosed"]);
        let (server, mut opened) = (Server::new(place.socket()), Events::new());
        let open = opened.reporter();
        server.on_connection(open);
        server.listen().await.unwrap();
        let id = opened.next().await;
        while !client.is_connected() {
            tokio::task::yield_now().await;
        }
        let mut later = client.events::<Both>();
        server.send(&Number(1), id).unwrap();
        assert_eq!(next(&mut later, on_client, 2).await, ["connected, again: true", "1"]);
    }

    async fn client_events_failed_attempts_in_a_row_are_one_entry_with_count() {
        let place = Place::new();
        let client = Client::builder(place.socket()).retry_delay(Duration::from_millis(1)).give_up_after(5).build();
        let mut events = client.events::<Both>();
        let Err(ConnectError::GaveUp { attempts: 5, .. }) = client.connect().await else { panic!() };
        let Some(ClientEvent::ConnectFailed(failures)) = soon("the failures", events.next()).await else { panic!() };
        assert_eq!(failures.attempts, 5);
        let text = failures.to_string();
        assert!(text.contains("test.sock") && text.ends_with(" (5 attempts)"), "{text}");
        assert_eq!(rest(events, on_client).await, [""; 0], "a client that gave up is closed");
    }

    async fn client_events_failure_read_begins_new_count() {
        let place = Place::new();
        let client = Client::builder(place.socket()).retry_delay(Duration::from_millis(1)).give_up_after(4).build();
        let mut events = client.events::<Both>();
        let connecting = tokio::spawn(async move {
            let result = client.connect().await;
            (client, result)
        });
        let mut attempts = 0;
        while let Some(event) = soon("a failure", events.next()).await {
            let ClientEvent::ConnectFailed(failures) = event else { panic!("{event:?}") };
            attempts += failures.attempts;
        }
        assert_eq!(attempts, 4);
        connecting.await.unwrap().1.unwrap_err();
    }

    async fn client_events_full_connects_again_only_once_end_has_room() {
        let (place, server) = listening().await;
        let (mut opened, handle) = (Events::new(), server.handle());
        let open = opened.reporter();
        server.on_connection(move |id| {
            // As much as fills the stream, with the beginning.
            for number in 1..SUBSCRIPTION_LEN {
                handle.send(&Number(number), id).unwrap();
            }
            handle.disconnect(id);
            open(());
        });
        let client = Client::builder(place.socket()).reconnect_delay(Duration::ZERO).build();
        let mut lost = Events::new();
        let report = lost.reporter();
        let mut events = client.events::<Both>();
        client.on_disconnect(move |_| report(()));
        client.connect().await.unwrap();
        let mut of_one = vec!["connected, again: false".to_owned()];
        of_one.extend((1..SUBSCRIPTION_LEN).map(|number| number.to_string()));
        of_one.push("disconnected: PeerClosed".to_owned());
        for round in 0..3 {
            opened.next().await;
            lost.next().await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(opened.rest().is_empty(), "it waits with the next connection");
            of_one[0] = format!("connected, again: {}", round > 0);
            assert_eq!(next(&mut events, on_client, of_one.len()).await, of_one);
        }
        client.close().await;
    }

    async fn client_events_full_messages_wait_and_closing_ends_with_disconnected() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let handle = server.handle();
        server.on_connection(move |id| {
            for number in 1..2 * SUBSCRIPTION_LEN {
                handle.send(&Number(number), id).unwrap();
            }
        });
        let client = Client::builder(place.socket()).drain(SHORT).build();
        let (events, mut received) = (client.events::<Both>(), Events::new());
        let report = received.reporter();
        client.on_topic("number", move |_| report(()));
        client.connect().await.unwrap();
        received.take(SUBSCRIPTION_LEN - 1).await;
        soon("closing", client.close()).await;
        let found = rest(events, on_client).await;
        assert_eq!(found[0], "connected, again: false");
        let (end, messages) = found[1..].split_last().unwrap();
        assert_eq!(end, "disconnected: Closed");
        assert!(messages.iter().map(String::as_str).eq((1..=messages.len()).map(|number| number.to_string())), "{found:?}");
        assert!(messages.len() >= SUBSCRIPTION_LEN - 1);
    }

    async fn client_events_dropped_client_ends_stream_without_event() {
        let (place, _server) = listening().await;
        let client = eager(&place);
        let mut events = client.events::<Both>();
        client.connect().await.unwrap();
        assert_eq!(next(&mut events, on_client, 1).await, ["connected, again: false"]);
        drop(client);
        assert_eq!(rest(events, on_client).await, [""; 0]);
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
