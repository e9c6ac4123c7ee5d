//! The connections of a server and the connection of a client, as bounded streams of events.

use std::collections::HashMap;
use std::time::Duration;

use futures::{Stream, StreamExt, future, stream};
use serde::{Deserialize, Serialize};
use socket_ipc::limits::EVENT_STREAM_LEN;
use socket_ipc::{
    Client, ClientConnectionEvent, CloseCause, ConnectError, EventStream, Server, ServerConnectionEvent,
    Topic,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "number"]
struct Number(u64);

fn opened_or_closed(event: ServerConnectionEvent) -> String {
    match event {
        ServerConnectionEvent::Opened(id) => format!("{id} opened"),
        ServerConnectionEvent::Closed(id, reason) => format!("{id} closed: {:?}", reason.cause),
        ServerConnectionEvent::Lagged(count) => format!("{count} lagged"),
        other => format!("{other:?}"),
    }
}

fn state(state: ClientConnectionEvent) -> String {
    match state {
        ClientConnectionEvent::Connected { again } => format!("connected, again: {again}"),
        ClientConnectionEvent::ConnectFailed(error) => match &*error {
            ConnectError::Io { cause: source, .. } => format!("failed: {:?}", source.kind()),
            other => format!("failed: {other:?}"),
        },
        ClientConnectionEvent::Disconnected(reason) => format!("disconnected: {:?}", reason.cause),
        ClientConnectionEvent::Lagged(count) => format!("{count} lagged"),
        other => format!("{other:?}"),
    }
}

/// The next event as text.
async fn next(connections: &mut EventStream<ServerConnectionEvent>) -> String {
    opened_or_closed(soon("an event", connections.next()).await.expect("the end instead of an event"))
}

/// The events up to the end of the stream, as text.
async fn rest<E>(events: EventStream<E>, to_text: fn(E) -> String) -> Vec<String> {
    soon("the end", events.map(to_text).collect()).await
}

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}

/// Opens a connection and closes it, `count` times. `closed` gets an event from the listener of each close.
async fn open_and_close(place: &Place, count: usize, closed: &mut Events<u64>) {
    for _ in 0..count {
        drop(RawPeer::connect(place.socket()).await);
        closed.next().await;
    }
}

/// A client with short delays.
fn eager(place: &Place) -> Client {
    let delay = Duration::from_millis(20);
    Client::builder(place.socket()).retry_delay(delay).reconnect_delay(delay).build()
}

support::both_flavours! {
    async fn server_events_connection_opens_then_closes_with_reason() {
        let (place, server) = listening().await;
        let mut connections = server.connection_events();
        let first = RawPeer::connect(place.socket()).await;
        assert_eq!(next(&mut connections).await, "1 opened");
        let mut second = RawPeer::connect(place.socket()).await;
        let Some(ServerConnectionEvent::Opened(second_id)) = soon("the second", connections.next()).await else { panic!() };
        drop(first);
        assert_eq!(next(&mut connections).await, "1 closed: PeerClosed");
        assert!(server.disconnect(second_id));
        second.closed().await;
        assert_eq!(next(&mut connections).await, "2 closed: Disconnected");
        let mut third = RawPeer::connect(place.socket()).await;
        third.write("unfinished").await;
        drop(third);
        assert_eq!(next(&mut connections).await, "3 opened");
        let closed = soon("the end of the third", connections.next()).await.unwrap();
        let ServerConnectionEvent::Closed(id, reason) = closed.clone() else { panic!("{closed:?}") };
        assert_eq!((id.get(), reason.unfinished_bytes), (3, 10));
    }

    async fn server_events_already_connected_gives_only_closed() {
        let (place, server) = listening().await;
        let mut all = server.connection_events();
        let peer = RawPeer::connect(place.socket()).await;
        assert_eq!(next(&mut all).await, "1 opened");
        let mut later = server.connection_events();
        drop(peer);
        assert_eq!(next(&mut later).await, "1 closed: PeerClosed");
        assert_eq!(next(&mut all).await, "1 closed: PeerClosed");
    }

    async fn server_events_several_streams_each_get_every_event() {
        let (place, server) = listening().await;
        let (mut first, second, mut third) = (server.connection_events(), server.connection_events(), server.connection_events());
        let mut closed = Events::new();
        let report = closed.reporter();
        let listener = server.on_connection_close(move |id, _| report(id.get()));
        open_and_close(&place, 1, &mut closed).await;
        assert_eq!(format!("{second:?}"), "EventStream { held: 2, .. }");
        drop(second);
        open_and_close(&place, 1, &mut closed).await;
        assert!(server.off(listener), "the listener was removed with a stream");
        assert!(!server.off(listener));
        for stream in [&mut first, &mut third] {
            for id in [1, 2] {
                assert_eq!(next(stream).await, format!("{id} opened"));
                assert_eq!(next(stream).await, format!("{id} closed: PeerClosed"));
            }
        }
    }

    async fn server_events_stream_made_in_listener_begins_at_next_event() {
        let (place, server) = listening().await;
        let mut streams = Events::new();
        let (report, handle) = (streams.reporter(), server.handle());
        // Dropped by a listener that is called before the one of the stream.
        let to_drop = std::sync::Arc::new(std::sync::Mutex::new(None));
        let dropped = std::sync::Arc::clone(&to_drop);
        server.on_connection(move |_| {
            drop(dropped.lock().unwrap().take());
            report(handle.connection_events());
        });
        *to_drop.lock().unwrap() = Some(server.connection_events());
        let peer = RawPeer::connect(place.socket()).await;
        let mut made: EventStream<_> = streams.next().await;
        drop(peer);
        assert_eq!(next(&mut made).await, "1 closed: PeerClosed", "it begins at the next event");
        assert!(to_drop.lock().unwrap().is_none());
    }

    async fn server_events_stream_full_gives_lagged_in_place() {
        let (place, server) = listening().await;
        let mut slow = server.connection_events();
        let mut fast = server.connection_events();
        let mut closed = Events::new();
        let report = closed.reporter();
        server.on_connection_close(move |id, _| report(id.get()));
        // Each connection is two events. Nothing reads `slow`, and it delays nothing.
        const FIRST: usize = EVENT_STREAM_LEN / 2 + 30;
        for _ in 0..FIRST {
            open_and_close(&place, 1, &mut closed).await;
            for _ in 0..2 {
                soon("an event", fast.next()).await.unwrap();
            }
        }
        assert_eq!(format!("{slow:?}"), format!("EventStream {{ held: {EVENT_STREAM_LEN}, .. }}"));
        // Room for one: the first of the next two.
        assert_eq!(next(&mut slow).await, "1 opened");
        open_and_close(&place, 1, &mut closed).await;
        let mut expected = vec!["1 closed: PeerClosed".to_owned()];
        for id in 2..=EVENT_STREAM_LEN / 2 {
            expected.extend([format!("{id} opened"), format!("{id} closed: PeerClosed")]);
        }
        expected.extend(["60 lagged".into(), format!("{} opened", FIRST + 1), "1 lagged".into()]);
        for expected in expected {
            assert_eq!(next(&mut slow).await, expected);
        }
        // All is read: nothing is missing from here on.
        open_and_close(&place, 1, &mut closed).await;
        assert_eq!(next(&mut slow).await, format!("{} opened", FIRST + 2));
        server.close().await;
        assert_eq!(rest(slow, opened_or_closed).await, [format!("{} closed: PeerClosed", FIRST + 2)]);
        let fast = rest(fast, opened_or_closed).await;
        assert_eq!(fast.len(), 4, "the fast stream lost events: {fast:?}");
    }

    async fn server_events_many_connections_are_read_or_counted() {
        const CLIENTS: u64 = 8;
        const EACH: u64 = 100;
        let (place, server) = listening().await;
        let mut connections = server.connection_events();
        let path = place.socket();
        let crowd = tokio::spawn(async move {
            let clients = (0..CLIENTS).map(async |_| {
                for _ in 0..EACH {
                    drop(RawPeer::connect(&path).await);
                    tokio::task::yield_now().await;
                }
            });
            future::join_all(clients).await;
        });
        let (mut total, mut open) = (0, HashMap::new());
        while total < 2 * CLIENTS * EACH {
            match soon("an event", connections.next()).await.unwrap() {
                ServerConnectionEvent::Opened(id) => {
                    assert_eq!(open.insert(id, true), None, "{id} was opened before, or closed");
                    total += 1;
                }
                ServerConnectionEvent::Closed(id, _) => {
                    assert_ne!(open.insert(id, false), Some(false), "{id} was closed twice");
                    total += 1;
                }
                ServerConnectionEvent::Lagged(count) => total += count,
                other => panic!("{other:?}"),
            }
            if total % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        crowd.await.unwrap();
        server.close().await;
        assert_eq!(rest(connections, opened_or_closed).await, [""; 0]);
    }

    async fn server_events_server_closed_ends_after_last_event() {
        let (place, server) = listening().await;
        let (mut read, kept) = (server.connection_events(), server.connection_events());
        let mut peer = RawPeer::connect(place.socket()).await;
        assert_eq!(next(&mut read).await, "1 opened");
        let waiting = tokio::spawn(rest(read, opened_or_closed));
        let closing = server.close();
        peer.closed().await;
        drop(peer);
        soon("the close", closing).await;
        assert_eq!(soon("the end", waiting).await.unwrap(), ["1 closed: Closed"]);
        let mut kept = kept.fuse();
        let of_kept: Vec<_> = kept.by_ref().map(opened_or_closed).collect().await;
        assert_eq!(of_kept, ["1 opened", "1 closed: Closed"]);
        let mut kept = kept.into_inner();
        assert!(kept.next().await.is_none(), "it stays ended");
        let mut late = server.connection_events();
        assert!(soon("the end of a stream made later", late.next()).await.is_none());
    }

    async fn server_events_server_dropped_ends() {
        let (place, server) = listening().await;
        let (read, kept, late) = (server.connection_events(), server.connection_events(), server.handle());
        let mut opened = Events::new();
        let report = opened.reporter();
        server.on_connection(move |id| report(id.get()));
        let mut peer = RawPeer::connect(place.socket()).await;
        opened.next().await;
        let waiting = tokio::spawn(rest(read, opened_or_closed));
        drop(server);
        peer.closed().await;
        // Dropping a server reports nothing more.
        assert_eq!(soon("the end", waiting).await.unwrap(), ["1 opened"]);
        let other = Server::new(place.socket());
        soon("the path is free", other.listen()).await.unwrap();
        assert_eq!(rest(kept, opened_or_closed).await, ["1 opened"]);
        assert_eq!(rest(late.connection_events(), opened_or_closed).await, [""; 0]);
    }

    async fn server_events_loop_closes_server_ends() {
        let (place, server) = listening().await;
        let mut connections = server.connection_events();
        let mut peer = RawPeer::connect(place.socket()).await;
        let mut seen = Vec::new();
        while let Some(event) = soon("an event", connections.next()).await {
            if matches!(event, ServerConnectionEvent::Opened(_)) {
                drop(server.close());
                peer.closed().await;
                peer = RawPeer::over(tokio::net::UnixStream::pair().unwrap().0);
            }
            seen.push(opened_or_closed(event));
        }
        assert_eq!(seen, ["1 opened", "1 closed: Closed"]);
        soon("the close", server.closed()).await;
    }

    async fn client_events_server_restarts_gives_every_state() {
        let place = Place::new();
        let client = eager(&place);
        let (mut states, whole) = (client.connection_events(), client.connection_events());
        let connecting = tokio::spawn(async move {
            soon("the connection", client.connect()).await.unwrap();
            client
        });
        assert_eq!(state(soon("a failure", states.next()).await.unwrap()), "failed: NotFound");
        // Each attempt may fail.
        let mut states = states.map(state).filter(|state| future::ready(state != "failed: NotFound"));
        let mut next = async || soon("a state", states.next()).await.unwrap();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        assert_eq!(next().await, "connected, again: false");
        let client = connecting.await.unwrap();
        server.close().await;
        assert_eq!(next().await, "disconnected: PeerClosed");
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        assert_eq!(next().await, "connected, again: true");
        assert!(client.is_connected());
        // A stream made later knows that this is not the first connection.
        let later = client.connection_events();
        drop(server);
        assert_eq!(next().await, "disconnected: PeerClosed");
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        assert_eq!(next().await, "connected, again: true");
        client.close().await;
        assert_eq!(next().await, "disconnected: Closed");
        assert!(soon("the end", states.next()).await.is_none());
        let steady = |all: Vec<String>| all.into_iter().filter(|state| state != "failed: NotFound").collect::<Vec<_>>();
        let later = steady(rest(later, state).await);
        assert_eq!(later, ["disconnected: PeerClosed", "connected, again: true", "disconnected: Closed"]);
        let whole = steady(rest(whole, state).await);
        assert_eq!(whole.len(), 6, "each has every state: {whole:?}");
        assert_eq!(rest(client.connection_events(), state).await, [""; 0]);
    }

    async fn client_events_client_gives_up_or_dropped_ends() {
        let place = Place::new();
        let delay = Duration::from_millis(1);
        let client = Client::builder(place.socket()).retry_delay(delay).give_up_after(3).build();
        let states = client.connection_events();
        let error = soon("the end of the attempts", client.connect()).await.unwrap_err();
        assert_eq!(rest(states, state).await, ["failed: NotFound"; 3]);
        // The source of `GaveUp` is the last failure.
        let ConnectError::GaveUp { cause: source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(&*source, ConnectError::Io { .. }), "{source:?}");

        let (place, server) = listening().await;
        let client = eager(&place);
        let (states, dropped) = (client.connection_events(), client.connection_events());
        drop(dropped);
        soon("the connection", client.connect()).await.unwrap();
        let waiting = tokio::spawn(rest(states, state));
        drop(client);
        assert_eq!(soon("the end", waiting).await.unwrap(), ["connected, again: false"]);
        server.close().await;
    }

    async fn client_events_stream_full_gives_lagged() {
        let place = Place::new();
        let count = EVENT_STREAM_LEN as u32 + 45;
        let client = Client::builder(place.socket()).retry_delay(Duration::ZERO).give_up_after(count).build();
        let states = client.connection_events();
        assert!(soon("the end of the attempts", client.connect()).await.is_err());
        let all = rest(states, state).await;
        assert_eq!(all.len(), EVENT_STREAM_LEN + 1);
        assert!(all[..EVENT_STREAM_LEN].iter().all(|state| state == "failed: NotFound"), "{all:?}");
        assert_eq!(all[EVENT_STREAM_LEN], "45 lagged");
    }

    async fn event_streams_merge_with_other_streams() {
        #[derive(Debug)]
        enum Input {
            Number(u64),
            Opened(u64),
            Closed(u64),
        }
        let (place, server) = listening().await;
        let numbers = server.subscribe::<Number>().map(|(number, _)| Input::Number(number.0));
        let connections = server.connection_events().filter_map(|event| {
            future::ready(match event {
                ServerConnectionEvent::Opened(id) => Some(Input::Opened(id.get())),
                ServerConnectionEvent::Closed(id, reason) => {
                    assert!(matches!(reason.cause, CloseCause::PeerClosed), "{reason:?}");
                    Some(Input::Closed(id.get()))
                }
                _ => None,
            })
        });
        fn is_a_stream<S: Stream + Send + Unpin + 'static>(_: &S) {}
        is_a_stream(&server.connection_events());
        let mut inputs = stream::select(numbers, connections).take(3 * 4);
        let client = eager(&place);
        let mut states = client.connection_events();
        soon("the connection", client.connect()).await.unwrap();
        client.send(&Number(7)).unwrap();
        client.close().await;
        for number in 8..=10 {
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write(format!("{{\"topic\":\"number\",\"message\":{number}}}\n")).await;
        }
        let (mut received, mut opened, mut closed) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(input) = soon("an input", inputs.next()).await {
            match input {
                Input::Number(number) => received.push(number),
                Input::Opened(id) => opened.push(id),
                Input::Closed(id) => closed.push(id),
            }
        }
        for (found, expected) in [(&mut received, 7..=10), (&mut opened, 1..=4), (&mut closed, 1..=4)] {
            found.sort();
            assert!(found.iter().copied().eq(expected.clone()), "{found:?} instead of {expected:?}");
        }
        // The same with `select!`, without `futures`.
        let mut connections = server.connection_events();
        let peer = RawPeer::connect(place.socket()).await;
        let mut seen_ends = 0;
        while seen_ends < 2 {
            tokio::select! {
                Some(state) = states.next() => seen_ends += usize::from(matches!(state, ClientConnectionEvent::Disconnected(_))),
                event = connections.next() => {
                    assert_eq!(opened_or_closed(event.unwrap()), "5 opened");
                    seen_ends += 1;
                }
            }
        }
        drop(peer);
    }

    async fn event_stream_next_dropped_loses_no_event() {
        let (place, server) = listening().await;
        let mut connections = server.connection_events();
        for id in 1..=50 {
            {
                let mut next = std::pin::pin!(connections.next());
                assert!(futures::poll!(next.as_mut()).is_pending());
            }
            let peer = RawPeer::connect(place.socket()).await;
            assert_eq!(next(&mut connections).await, format!("{id} opened"));
            {
                let mut next = std::pin::pin!(connections.next());
                assert!(futures::poll!(next.as_mut()).is_pending());
            }
            drop(peer);
            assert_eq!(next(&mut connections).await, format!("{id} closed: PeerClosed"));
        }
    }
}
