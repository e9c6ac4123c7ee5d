//! The events of a client: its connection and the messages of the server.

use super::*;

fn on_client(event: ClientEvent<Both>) -> String {
    match event {
        ClientEvent::Connected { again } => format!("connected, again: {again}"),
        ClientEvent::Message(found) => message(&found),
        ClientEvent::Disconnected(reason) => format!("disconnected: {:?}", reason.cause),
        ClientEvent::ConnectFailed(_) => "failed".to_owned(),
        other => format!("{other:?}"),
    }
}

fn eager(place: &Place) -> Client {
    Client::builder(place.socket()).retry_delay(SHORT).reconnect_delay(SHORT).build()
}

support::both_flavours! {
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
}
