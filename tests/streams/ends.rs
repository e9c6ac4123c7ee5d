//! How a stream ends: by itself, with an error, with the connection, by closing, and by its reader.

use socket_ipc::{CloseCause, ErrorReply, SendError};

use super::*;

/// A request whose reply waits.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "later", reply = ())]
struct Later;

support::both_flavours! {
    async fn stream_of_items_arrives_in_order_and_ends() {
        let (_place, server, client) = connected().await;
        for to in [0, 1, 2, 10_000] {
            assert_eq!(all(client.request_stream(&Count { to })).await, (0..to).collect::<Vec<_>>());
        }
        let client_id = server.clients()[0];
        assert_eq!(all(server.request_stream(&Count { to: 1_000 }, client_id)).await, (0..1_000).collect::<Vec<_>>());
    }

    async fn stats_count_requests_and_streams_in_flight() {
        let (_place, server, client) = connected().await;
        follows(&server);
        let reply = Arc::new(tokio::sync::Notify::new());
        let replies = Arc::clone(&reply);
        server
            .respond_async::<Later>(move |Later, _| {
                let reply = Arc::clone(&replies);
                async move { reply.notified().await }
            })
            .unwrap();
        let in_flight = || (server.stats().requests_in_flight, server.stats().streams_in_flight);
        let (mut one, mut other) = (client.request_stream(&Follow { numbers: 0 }), client.request_stream(&Follow { numbers: 0 }));
        soon("the start", one.started()).await.unwrap();
        soon("the start", other.started()).await.unwrap();
        let mut requested = client.request(&Later);
        tokio::select! {
            biased;
            replied = &mut requested => panic!("{replied:?}"),
            () = ping(&client) => {}
        }
        assert_eq!(in_flight(), (1, 2));
        drop(one);
        ping(&client).await;
        assert_eq!(in_flight(), (1, 1));
        reply.notify_one();
        soon("the reply", requested).await.unwrap();
        assert_eq!(in_flight(), (0, 1));
        soon("the close", client.close()).await;
        until("the end of the stream", || in_flight() == (0, 0)).await;
        drop(other);
    }

    async fn stream_is_a_stream_for_combinators() {
        let (_place, _server, client) = connected().await;
        let numbers = client.request_stream(&Count { to: 100 });
        let sum = soon("the sum", numbers.fold(0, |sum, number| async move { sum + number.unwrap() })).await;
        assert_eq!(sum, 99 * 100 / 2);
    }

    async fn stream_request_is_sent_when_polled_and_dropped_unpolled_is_not() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        drop(client.request_stream(&Follow { numbers: 1 }));
        ping(&client).await;
        assert_eq!(guards.begun(), 0);
        let mut items = client.request_stream(&Follow { numbers: 1 });
        soon("the start", items.started()).await.unwrap();
        assert_eq!(guards.begun(), 1);
        assert_eq!(next(&mut items).await.unwrap().unwrap(), 0);
    }

    async fn stream_started_without_items_returns() {
        let (_place, server, client) = connected().await;
        follows(&server);
        let mut items = client.request_stream(&Follow { numbers: 0 });
        for _ in 0..2 {
            soon("the start", items.started()).await.unwrap();
        }
        let mut ended = client.request_stream(&Count { to: 0 });
        soon("the start", ended.started()).await.unwrap();
        assert!(next(&mut ended).await.is_none());
    }

    async fn stream_error_of_its_type_ends_it() {
        let (_place, server, client) = connected().await;
        let client_id = server.clients()[0];
        for (after, with) in [(0, Failure::Silent), (3, Failure::Odd { number: 7 })] {
            for mut items in [
                client.request_stream(&Fail { after, with: with.clone() }),
                server.request_stream(&Fail { after, with: with.clone() }, client_id),
            ] {
                for number in 0..after {
                    assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
                }
                match failed(items).await {
                    RequestError::Failed { topic, text, error } => {
                        assert_eq!((topic.as_str(), &error), ("fail", &with));
                        assert_eq!(text, with.to_string());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    async fn stream_error_without_type_is_rejected_with_its_text() {
        let (_place, server, client) = connected().await;
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "parse", stream = u64)]
        struct Parse { texts: Vec<String> }
        server.respond_stream::<Parse>(|Parse { texts }, _| {
            stream::iter(texts.into_iter().map(|text| text.parse::<u64>()))
        }).unwrap();
        let mut items = client.request_stream(&Parse { texts: ["1", "x", "2"].map(str::to_owned).to_vec() });
        assert_eq!(next(&mut items).await.unwrap().unwrap(), 1);
        match failed(items).await {
            RequestError::Rejected { topic, reply } => {
                assert_eq!((topic.as_str(), reply.code()), ("parse", ErrorReply::FAILED));
                assert_eq!(reply.text(), "invalid digit found in string");
            }
            other => panic!("{other:?}"),
        }
        let code = || stream::once(async { Err::<u64, _>(ErrorReply::new("gone", "no such job")) });
        server.respond_stream_raw("job", move |_, _| code()).unwrap();
        match failed(client.request_stream_raw("job", &7)).await {
            RequestError::Rejected { reply, .. } => assert_eq!((reply.code(), reply.text()), ("gone", "no such job")),
            other => panic!("{other:?}"),
        }
    }

    async fn stream_without_responder_fails_by_name() {
        let (_place, _server, client) = connected().await;
        let error = failed(client.request_stream(&Follow { numbers: 1 })).await;
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "follow"), "{error:?}");
        let mut items = client.request_stream(&Follow { numbers: 1 });
        let error = soon("the start", items.started()).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "follow"), "{error:?}");
        assert!(next(&mut items).await.is_none(), "it has ended");
    }

    async fn stream_request_that_does_not_decode_fails_by_name() {
        let (_place, _server, client) = connected().await;
        let error = failed(client.request_stream_raw("count", &"text")).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { topic, .. } if topic == "count"), "{error:?}");
    }

    async fn stream_without_connection_fails_by_name() {
        let place = Place::new();
        let client = Client::new(place.socket());
        let error = failed(client.request_stream(&Count { to: 1 })).await;
        assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })), "{error:?}");
    }

    async fn stream_of_lost_connection_ends_after_its_items() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        let mut items = client.request_stream(&Follow { numbers: 3 });
        soon("the start", items.started()).await.unwrap();
        ping(&client).await;
        server.disconnect(server.clients()[0]);
        until("the drop of the stream", || guards.dropped() == 1).await;
        for number in 0..3 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        let error = failed(items).await;
        match &error {
            RequestError::Rejected { topic, reply } => assert_eq!((topic.as_str(), reply.code()), ("follow", ErrorReply::CLOSING)),
            RequestError::ConnectionLost { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    async fn stream_of_closing_server_ends_with_an_error_that_says_so() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        let mut items = client.request_stream(&Follow { numbers: 2 });
        soon("the start", items.started()).await.unwrap();
        soon("the close", server.close()).await;
        assert_eq!(guards.dropped(), 1);
        for number in 0..2 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        match failed(items).await {
            RequestError::Rejected { topic, reply } => {
                assert_eq!((topic.as_str(), reply.code()), ("follow", ErrorReply::CLOSING));
                assert_eq!(reply.text(), "the stream `follow` has ended: the connection is being closed");
            }
            other => panic!("{other:?}"),
        }
    }

    async fn stream_of_closing_client_ends_and_is_dropped_by_the_server() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        let mut items = client.request_stream(&Follow { numbers: 0 });
        soon("the start", items.started()).await.unwrap();
        soon("the close", client.close()).await;
        let error = failed(items).await;
        assert!(matches!(&error, RequestError::ConnectionLost { cause: CloseCause::Closed, .. }), "{error:?}");
        until("the drop of the stream", || guards.dropped() == 1).await;
    }

    async fn stream_dropped_by_its_reader_is_dropped_by_its_responder() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        for dropped in 0..100 {
            let mut items = client.request_stream(&Follow { numbers: 1 });
            assert_eq!(next(&mut items).await.unwrap().unwrap(), 0);
            assert_eq!(guards.dropped(), dropped);
            drop(items);
            // The cancel is acted on before the request.
            ping(&client).await;
            assert_eq!(guards.dropped(), dropped + 1);
        }
    }

    async fn stream_item_of_another_type_ends_it_and_cancels() {
        let (_place, server, client) = connected().await;
        let guards = Guards::default();
        let held = guards.clone();
        let items = || stream::iter([Ok("one")]).chain(stream::pending());
        server.respond_stream_raw("follow", move |_, _| held.guard(items())).unwrap();
        match failed(client.request_stream(&Follow { numbers: 1 })).await {
            RequestError::ReplyUndecodable { topic, type_name, reason } => {
                assert_eq!((topic.as_str(), type_name.as_str()), ("follow", "u64"));
                assert!(reason.contains("expected u64"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        ping(&client).await;
        assert_eq!(guards.dropped(), 1);
    }

    async fn stream_item_that_cannot_be_sent_ends_it_by_name() {
        let (_place, server, client) = connected().await;
        server.respond_stream_raw("ratio", |_, _| stream::iter([Ok(0.5), Ok(f64::NAN), Ok(1.5)])).unwrap();
        let mut items = client.request_stream_raw("ratio", &());
        assert_eq!(next(&mut items).await.unwrap().unwrap().as_str(), "0.5");
        match failed(items).await {
            RequestError::Rejected { reply, .. } => {
                assert!(reply.text().contains("`ratio`") && reply.text().contains("NaN"), "{}", reply.text());
            }
            other => panic!("{other:?}"),
        }
    }

    async fn stream_that_panics_ends_by_name_and_spares_the_rest() {
        let (_place, server, client) = connected().await;
        server.on_error(|_| {});
        server.respond_stream::<Follow>(|Follow { numbers }, _| {
            super::numbers(10).map(move |number| {
                assert!(number < numbers, "too far");
                number
            })
        }).unwrap();
        let mut items = client.request_stream(&Follow { numbers: 2 });
        for number in 0..2 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        let error = failed(items).await;
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "follow"), "{error:?}");
        ping(&client).await;
    }

    async fn stream_not_started_in_time_fails_and_cancels() {
        let (_place, server, client) = connected().await;
        // Its requests are held back by this listener.
        let (gate, open) = tokio::sync::oneshot::channel::<()>();
        let open = std::sync::Mutex::new(Some(open));
        #[derive(Topic, Serialize, Deserialize)]
        #[topic = "wait"]
        struct Wait;
        server.on_async::<Wait>(move |_, _| {
            let open = open.lock().unwrap().take();
            async move { drop(open.unwrap().await) }
        });
        let guards = follows(&server);
        client.send(&Wait).unwrap();
        let mut items = client.request_stream(&Follow { numbers: 1 }).timeout(Duration::from_millis(20));
        match soon("the start", items.started()).await {
            Err(RequestError::Timeout { topic, timeout }) => {
                assert_eq!((topic.as_str(), timeout), ("follow", Duration::from_millis(20)));
            }
            other => panic!("{other:?}"),
        }
        drop(gate);
        ping(&client).await;
        assert_eq!(guards.begun(), guards.dropped(), "a stream that has not begun is never begun, or dropped");
    }

    async fn stream_silent_for_longer_than_request_timeout_goes_on() {
        let (_place, server, client) =
            connected_with(|server| server, |client| client.request_timeout(Duration::from_millis(50))).await;
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let receiver = std::sync::Mutex::new(Some(receiver));
        server.respond_stream::<Follow>(move |_, _| {
            let mut receiver = receiver.lock().unwrap().take().unwrap();
            stream::poll_fn(move |cx| receiver.poll_recv(cx))
        }).unwrap();
        let mut items = client.request_stream(&Follow { numbers: 0 });
        soon("the start", items.started()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), items.next()).await.is_err(), "it is silent");
        sender.send(7).unwrap();
        assert_eq!(next(&mut items).await.unwrap().unwrap(), 7);
        drop(sender);
        assert!(next(&mut items).await.is_none());
    }

    async fn stream_idle_timeout_bounds_each_wait() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        let idle = Duration::from_millis(30);
        let mut items = client.request_stream(&Follow { numbers: 3 }).idle_timeout(idle);
        for number in 0..3 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        match failed(items).await {
            RequestError::Timeout { topic, timeout } => assert_eq!((topic.as_str(), timeout), ("follow", idle)),
            other => panic!("{other:?}"),
        }
        ping(&client).await;
        assert_eq!(guards.dropped(), 1, "it was cancelled");
    }

    async fn stream_idle_timeout_bounds_the_wait_for_the_first_item() {
        let (_place, server, client) = connected().await;
        let guards = follows(&server);
        let idle = Duration::from_millis(30);
        let mut begun = client.request_stream(&Follow { numbers: 0 }).idle_timeout(idle);
        soon("the start", begun.started()).await.unwrap();
        for items in [begun, client.request_stream(&Follow { numbers: 0 }).idle_timeout(idle)] {
            match failed(items).await {
                RequestError::Timeout { topic, timeout } => assert_eq!((topic.as_str(), timeout), ("follow", idle)),
                other => panic!("{other:?}"),
            }
        }
        ping(&client).await;
        assert_eq!(guards.dropped(), 2, "they were cancelled");
    }

    async fn item_within_its_idle_timeout_that_is_read_late_keeps_the_stream() {
        let (_place, server, client) = connected().await;
        let idle = Duration::from_millis(400);
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (guards, receiver) = (Guards::default(), std::sync::Mutex::new(Some(receiver)));
        let held = guards.clone();
        server.respond_stream::<Follow>(move |_, _| {
            let mut receiver = receiver.lock().unwrap().take().unwrap();
            held.guard(stream::poll_fn(move |cx| receiver.poll_recv(cx)))
        }).unwrap();
        (1..=3).for_each(|number| sender.send(number).unwrap());
        let mut items = client.request_stream(&Follow { numbers: 0 }).idle_timeout(idle);
        for number in 1..=3 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        assert!(futures::poll!(Box::pin(items.next())).is_pending(), "the wait has begun");
        sender.send(4).unwrap();
        ping(&client).await;
        // The item has come in time. Its reader is busy with something else.
        tokio::time::sleep(3 * idle).await;
        sender.send(5).unwrap();
        ping(&client).await;
        assert_eq!(guards.dropped(), 0, "the stream goes on");
        for number in 4..=5 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        drop(sender);
        assert!(next(&mut items).await.is_none());
    }

    async fn stream_read_by_a_listener_that_holds_messages_back_arrives_whole() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic = "begin"]
        struct Begin;
        #[derive(Topic, Serialize, Deserialize)]
        #[topic = "news"]
        struct News(u64);
        let (_place, server, client) = connected().await;
        let mut events = Events::new();
        let (report, handle) = (events.reporter(), client.handle());
        client.on_async::<Begin>(move |Begin| {
            // A window of ten items: it is renewed again and again meanwhile.
            let (mut items, report) = (handle.request_stream(&Count { to: 1_000 }).window(640), report.clone());
            async move {
                while let Some(item) = items.next().await {
                    report(("item", item.unwrap()));
                }
                report(("end", 0));
            }
        });
        let report = events.reporter();
        client.on::<News>(move |News(number)| report(("news", number)));
        let client_id = server.clients()[0];
        server.send(&Begin, client_id).unwrap();
        (0..10).for_each(|number| server.send(&News(number), client_id).unwrap());
        let items = (0..1_000).map(|number| ("item", number)).chain([("end", 0)]);
        let expected: Vec<_> = items.chain((0..10).map(|number| ("news", number))).collect();
        assert_eq!(events.take(expected.len()).await, expected);
    }

    async fn stream_request_of_single_reply_and_reverse_fail_by_name() {
        let (_place, server, client) = connected().await;
        let client_id = server.clients()[0];
        for error in [
            failed(client.request_stream_raw("ping", &7)).await,
            failed(server.request_stream_raw("ping", &7, client_id)).await,
        ] {
            match error {
                RequestError::Rejected { reply, .. } => {
                    assert_eq!(reply.code(), ErrorReply::STREAM);
                    assert_eq!(reply.text(), "`ping` has a single reply: request it with `request`, or without the key `window`");
                }
                other => panic!("{other:?}"),
            }
        }
        for reply in [
            client.request_raw("count", &serde_json::json!({ "to": 1 })),
            server.request_raw("count", &serde_json::json!({ "to": 1 }), client_id),
        ] {
            match soon("the reply", reply).await {
                Err(RequestError::Rejected { reply, .. }) => {
                    assert_eq!(reply.code(), ErrorReply::STREAM);
                    assert!(reply.text().contains("request_stream"), "{}", reply.text());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
