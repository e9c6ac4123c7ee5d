//! Each request gets its own reply, at both ends.

use super::*;

support::both_flavours! {
    async fn request_to_server_and_to_client_gets_reply() {
        let (_place, server, client) = connected().await;
        server.respond::<Add>(|Add { left, right }, _client_id| Sum(left + right)).unwrap();
        client.respond_async::<Add>(|Add { left, right }| async move { Ok::<_, ErrorReply>(Sum(left * right)) }).unwrap();
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        let id = server.clients()[0];
        assert_eq!(soon("the product", server.request(&ADD, id)).await.unwrap(), Sum(6));
        assert_eq!(soon("the sum", client.handle().request(&ADD)).await.unwrap(), Sum(5));
        assert_eq!(soon("the product", server.handle().request(&ADD, id)).await.unwrap(), Sum(6));
    }

    async fn request_raw_gets_reply_both_ways() {
        let (_place, server, client) = connected().await;
        server.respond_raw("length", Some(""), |text, _| Ok(text.decode::<String>()?.len())).unwrap();
        client.respond_raw("echo", Some("echoed"), |message| Ok(message.into_owned())).unwrap();
        let length = soon("the length", client.request_raw("length", "four")).await.unwrap();
        assert_eq!(length.as_str(), "4");
        let error = failed(client.request_raw("length", &4)).await;
        assert!(matches!(&error, RequestError::Rejected { topic, reply }
            if topic == "length" && reply.code() == "failed" && reply.text().contains("expected a string")), "{error}");
        let echo = soon("the echo", server.request_raw("echo", &[1, 2], server.clients()[0])).await.unwrap();
        assert_eq!(echo.as_str(), "[1,2]");
        // A raw request reaches a typed responder.
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        assert_eq!(soon("the sum", client.request_raw("add", &ADD)).await.unwrap().as_str(), "5");
    }

    async fn respond_reply_to_itself_on_both_ends_is_not_answered_again() {
        let (_place, server, client) = connected().await;
        let calls = Arc::new(AtomicUsize::new(0));
        let (on_server, on_client) = (Arc::clone(&calls), Arc::clone(&calls));
        let count = move |calls: &AtomicUsize| Ok::<_, ErrorReply>(calls.fetch_add(1, Ordering::SeqCst));
        server.respond_raw("x", Some("x"), move |_, _| count(&on_server)).unwrap();
        client.respond_raw("x", Some("x"), move |_| count(&on_client)).unwrap();
        let mut received = Events::new();
        let report = received.reporter();
        client.on_topic("x", move |message| report(message.to_string()));
        client.send_raw("x", &1).unwrap();
        assert_eq!(received.next().await, "0", "a listener receives the reply");
        soon("a round trip", client.request_raw("x", &1)).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2, "no responder is called for a reply");
    }

    async fn requests_500_pending_each_gets_its_own_reply() {
        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let replies: Vec<_> = (0..500).map(|number| client.request(&Wait(number))).collect();
        // A later request with an immediate reply does not wait for them.
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        gate.add_permits(500);
        let replies = soon("all replies", join_all(replies)).await;
        for (number, reply) in replies.into_iter().enumerate() {
            assert_eq!(reply.unwrap(), Waited(number as u64));
        }
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn respond_second_time_returns_error_until_first_is_removed() {
        let (_place, server, client) = connected().await;
        let first = server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let RegisterError::AlreadyRegistered { topic, existing, rejected } =
            server.respond_raw("add", Some("sum"), |_, _| Ok(0)).unwrap_err() else { panic!("another error") };
        assert_eq!((topic.as_str(), rejected), ("add", "RawMessage"));
        assert!(existing.ends_with("::Add"), "{existing}");
        assert!(server.off(first));
        assert!(matches!(failed(client.request(&ADD)).await, RequestError::NoResponder { .. }));
        server.respond::<Add>(|Add { left, right }, _| Sum(left - right)).unwrap();
        assert_eq!(soon("the difference", client.request(&ADD)).await.unwrap(), Sum(-1));
    }

    async fn listeners_get_requests_but_no_replies() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on_message(move |_, topic, _| report(format!("server: every {topic}")));
        let report = received.reporter();
        server.on::<Add>(move |Add { left, .. }, _| report(format!("server: {left}")));
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let report = received.reporter();
        client.on_message(move |_, topic| report(format!("client: every {topic}")));
        let report = received.reporter();
        client.on::<Sum>(move |Sum(sum)| report(format!("client: {sum}")));
        soon("the sum", client.request(&ADD)).await.unwrap();
        assert_eq!(received.take(2).await, ["server: every add", "server: 2"]);
        // The reply to a request without an id is a message like any other.
        client.send(&ADD).unwrap();
        assert_eq!(received.take(4).await[2..], ["client: every sum", "client: 5"]);
        assert!(received.rest().is_empty());
    }

    async fn reply_future_without_runtime_resolves() {
        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        let (reply, overdue) = (client.request(&Wait(1)), client.request(&Wait(2)).timeout(Duration::from_millis(1)));
        let mut received = Events::new();
        let report = received.reporter();
        std::thread::spawn(move || {
            report(futures::executor::block_on(overdue));
            report(futures::executor::block_on(reply));
        });
        let overdue = received.next().await;
        assert!(matches!(overdue, Err(RequestError::Timeout { .. })), "{overdue:?}");
        gate.add_permits(2);
        assert_eq!(received.next().await.unwrap(), Waited(1));
    }
}
