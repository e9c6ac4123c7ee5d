//! The connections of a server.

use super::*;

/// The next event as text.
async fn next(connections: &mut EventStream<ServerConnectionEvent>) -> String {
    opened_or_closed(soon("an event", connections.next()).await.expect("the end instead of an event"))
}

/// Opens a connection and closes it, `count` times. `closed` gets an event from the listener of each close.
async fn open_and_close(place: &Place, count: usize, closed: &mut Events<u64>) {
    for _ in 0..count {
        drop(RawPeer::connect(place.socket()).await);
        closed.next().await;
    }
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
