//! The window of a stream: what the responder may send, and what the requester takes.

use socket_ipc::ErrorReply;

use super::*;

/// An endless stream that counts what it has yielded.
fn endless(server: &Server) -> Arc<AtomicUsize> {
    let yielded = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&yielded);
    server
        .respond_stream::<Follow>(move |_, _| {
            let counted = Arc::clone(&counted);
            numbers(u64::MAX).inspect(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            })
        })
        .unwrap();
    yielded
}

support::both_flavours! {
    async fn window_unread_stops_the_stream_and_nothing_else() {
        let (_place, server, client) = connected().await;
        let yielded = endless(&server);
        let mut items = client.request_stream(&Follow { numbers: 0 }).window(64 * 100);
        soon("the start", items.started()).await.unwrap();
        for _ in 0..20 {
            ping(&client).await;
        }
        assert_eq!(yielded.load(Ordering::SeqCst), 100);
        for number in 0..10_000 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
        ping(&client).await;
        assert!((10_000..=10_100).contains(&yielded.load(Ordering::SeqCst)));
    }

    async fn window_smaller_than_two_items_goes_on_item_by_item() {
        let (_place, server, client) = connected().await;
        endless(&server);
        for window in [1, 64, 65, 127, 128] {
            let mut items = client.request_stream(&Follow { numbers: 0 }).window(window.max(64));
            for number in 0..100 {
                assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
            }
        }
    }

    async fn window_of_builder_and_of_one_stream_are_options() {
        let (_place, server, client) =
            connected_with(|server| server, |client| client.stream_window(64 * 10)).await;
        let yielded = endless(&server);
        let mut items = client.request_stream(&Follow { numbers: 0 });
        soon("the start", items.started()).await.unwrap();
        ping(&client).await;
        ping(&client).await;
        assert_eq!(yielded.load(Ordering::SeqCst), 10);
        let mut more = client.request_stream(&Follow { numbers: 0 }).window(64 * 20);
        soon("the start", more.started()).await.unwrap();
        ping(&client).await;
        ping(&client).await;
        assert_eq!(yielded.load(Ordering::SeqCst), 30);
    }

    async fn window_of_the_server_is_an_option() {
        let (_place, server, client) =
            connected_with(|server| server.stream_window(64 * 10), |client| client).await;
        let yielded = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&yielded);
        client.respond_stream::<Follow>(move |_| {
            let counted = Arc::clone(&counted);
            numbers(u64::MAX).inspect(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            })
        }).unwrap();
        let client_id = server.clients()[0];
        let mut items = server.request_stream(&Follow { numbers: 0 }, client_id);
        soon("the start", items.started()).await.unwrap();
        for _ in 0..2 {
            soon("a round trip", server.request(&Ping(1), client_id)).await.unwrap();
        }
        assert_eq!(yielded.load(Ordering::SeqCst), 10);
        for number in 0..100 {
            assert_eq!(next(&mut items).await.unwrap().unwrap(), number);
        }
    }

    async fn unread_stream_delays_no_messages() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic = "news"]
        struct News(u64);
        let (_place, server, client) = connected().await;
        endless(&server);
        let mut unread = client.request_stream(&Follow { numbers: 0 });
        soon("the start", unread.started()).await.unwrap();
        let (mut to_client, mut to_server) = (Events::new(), Events::new());
        let report = to_client.reporter();
        client.on::<News>(move |News(number)| report(number));
        let report = to_server.reporter();
        server.on::<News>(move |News(number), _| report(number));
        let client_id = server.clients()[0];
        for number in 0..1_000 {
            server.send_async(&News(number), client_id).await.unwrap();
            client.send_async(&News(number)).await.unwrap();
        }
        let expected: Vec<_> = (0..1_000).collect();
        assert_eq!(to_client.take(1_000).await, expected);
        assert_eq!(to_server.take(1_000).await, expected);
        assert_eq!(next(&mut unread).await.unwrap().unwrap(), 0);
    }

    async fn items_of_any_length_up_to_the_window_arrive() {
        let (_place, server, client) = connected().await;
        // A line is longer than its item by these bytes.
        let frame = r#"{"topic":"texts","message":"","more":true,"re":1}"#.len();
        server.respond_stream_raw("texts", move |_, _| {
            stream::iter((0..200).map(move |number| Ok("x".repeat(number * 37 % (1000 - frame)))))
        }).unwrap();
        // Items longer than half of the window, too: the requester must not wait for more while the responder waits for room.
        let items = all(client.request_stream_raw("texts", &()).window(1000)).await;
        let lens: Vec<_> = items.iter().map(|item| item.as_str().len() - 2).collect();
        assert_eq!(lens, (0..200).map(|number| number * 37 % (1000 - frame)).collect::<Vec<_>>());
    }

    async fn item_longer_than_window_ends_the_stream_by_name() {
        let (_place, server, client) = connected().await;
        let frame = r#"{"topic":"texts","message":"","more":true,"re":1}"#.len();
        server.respond_stream_raw("texts", move |_, _| {
            stream::iter([1000 - frame, 1001 - frame].map(|len| Ok("x".repeat(len))))
        }).unwrap();
        let mut items = client.request_stream_raw("texts", &()).window(1000);
        assert_eq!(next(&mut items).await.unwrap().unwrap().as_str().len(), 1000 - frame + 2);
        match failed(items).await {
            RequestError::Rejected { reply, .. } => {
                assert_eq!(reply.code(), ErrorReply::WINDOW);
                for part in ["`texts`", "1001 bytes", "window of 1000", "`stream_window`"] {
                    assert!(reply.text().contains(part), "{}", reply.text());
                }
            }
            other => panic!("{other:?}"),
        }
    }

    async fn many_streams_with_one_unread_do_not_wait_for_it() {
        let (_place, server, client) = connected().await;
        endless(&server);
        let mut unread = client.request_stream(&Follow { numbers: 0 });
        soon("the start", unread.started()).await.unwrap();
        let streams = (0..50).map(|_| all(client.request_stream(&Count { to: 5_000 })));
        for items in futures::future::join_all(streams).await {
            assert_eq!(items, (0..5_000).collect::<Vec<_>>());
        }
        ping(&client).await;
        assert_eq!(next(&mut unread).await.unwrap().unwrap(), 0);
    }

    async fn places_taken_by_streams_reject_further_requests_at_once() {
        let (_place, server, client) = connected_with(|server| server.max_requests(3), |client| client).await;
        let guards = follows(&server);
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut items = client.request_stream(&Follow { numbers: 0 });
            soon("the start", items.started()).await.unwrap();
            streams.push(items);
        }
        let error = failed(client.request_stream(&Follow { numbers: 0 })).await;
        let RequestError::Rejected { reply, .. } = &error else { panic!("{error:?}") };
        assert_eq!(reply.code(), ErrorReply::TOO_MANY_REQUESTS);
        assert!(reply.text().contains("all 3 places of `max_requests`"), "{}", reply.text());
        let error = soon("the failure", client.request(&Ping(1))).await.unwrap_err();
        let RequestError::Rejected { reply, .. } = &error else { panic!("{error:?}") };
        assert_eq!(reply.code(), ErrorReply::TOO_MANY_REQUESTS);
        // Messages are not held back.
        let mut messages = server.subscribe_raw();
        client.send_raw("news", &1).unwrap();
        assert!(soon("the message", messages.next()).await.is_some());
        streams.pop();
        ping(&client).await;
        assert_eq!((guards.begun(), guards.dropped()), (3, 1));
    }

    async fn window_of_zero_fails_by_name() {
        let (_place, server, client) = connected().await;
        endless(&server);
        let error = failed(client.request_stream(&Follow { numbers: 0 }).window(0)).await;
        assert!(error.to_string().contains("window"), "{error}");
    }
}
