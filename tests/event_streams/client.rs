//! The connection of a client, and event streams merged with others.

use super::*;

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

support::both_flavours! {
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
}
