//! How requests fail: the responder, the reply, the timeout.

use super::*;

support::both_flavours! {
    async fn request_fails_in_any_way_returns_its_own_error() {
        let (_place, server, client) = connected().await;
        let mut panics = Events::new();
        let report = panics.reporter();
        server.on_error(move |error| report(error.to_string()));
        let mut undecodable = Events::new();
        let report = undecodable.reporter();
        server.on_message_error(move |error, _| report(error.to_string()));
        server.respond::<Add>(|Add { left, right }, _| match (left, right) {
            (0, _) => panic!("nothing to add to"),
            (_, 0) => Err(ErrorReply::new("nothing_to_add", "add something")),
            _ => Ok(Sum(left + right)),
        }).unwrap();
        server.respond_async::<Wait>(|Wait(number), _| async move {
            tokio::task::yield_now().await;
            assert_ne!(number, 0, "not that one");
            Err::<Waited, _>(std::io::Error::other("no time"))
        }).unwrap();

        let error = failed(client.request_raw("divide", &1)).await;
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "divide"), "{error:?}");
        let error = failed(client.request(&Add { left: 0, right: 1 })).await;
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "add"), "{error:?}");
        assert!(panics.next().await.contains("nothing to add to"), "the panic itself is reported by the server");
        let error = failed(client.request(&Add { left: 1, right: 0 })).await;
        assert_eq!(error.to_string(), "`add` was rejected (nothing_to_add): add something");
        let error = failed(client.request(&Wait(0))).await;
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "wait"), "{error:?}");
        assert!(panics.next().await.contains("not that one"));
        let error = failed(client.request(&Wait(1))).await;
        assert_eq!(error.to_string(), "`wait` was rejected (failed): no time");
        let error = failed(client.request_raw("add", &"two and three")).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { topic, text }
            if topic == "add" && text.contains("expected struct Add")), "{error:?}");
        assert!(undecodable.next().await.contains("expected struct Add"), "the server reports a message error, too");
        // The connection lives.
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
    }

    async fn reply_of_other_type_fails_the_request_of_other_topic_does_not() {
        let (_place, server, client) = connected().await;
        server.respond_raw("add", Some("sum"), |_, _| Ok("five")).unwrap();
        server.respond_raw("wait", Some("nothing of the kind"), |_, _| Ok(5)).unwrap();
        let error = failed(client.request(&ADD)).await;
        assert!(matches!(&error, RequestError::ReplyUndecodable { topic, type_name, reason }
            if topic == "add" && type_name.ends_with("Sum") && reason.contains("expected i64")), "{error:?}");
        assert_eq!(soon("the reply", client.request(&Wait(1))).await.unwrap(), Waited(5));
    }

    async fn reply_cannot_be_sent_becomes_error_reply() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(200).build();
        server.listen().await.unwrap();
        server.respond_raw("long", Some("long reply"), |_, _| Ok("x".repeat(200))).unwrap();
        server.respond_raw("worse", Some("worse reply"), |_, _| Err::<(), _>(ErrorReply::new("x", "x".repeat(200)))).unwrap();
        server.respond_raw("map", Some("map reply"), |_, _| Ok(std::collections::HashMap::from([((1, 2), 3)]))).unwrap();
        let client = Client::builder(place.socket()).request_timeout(LONG).build();
        client.connect().await.unwrap();
        for (topic, expected, says) in
            [("long", "failed", "over the limit of 200"), ("worse", "x", ""), ("map", "failed", "key must be")]
        {
            let error = failed(client.request_raw(topic, &())).await;
            assert!(matches!(&error, RequestError::Rejected { reply, .. }
                if reply.code() == expected && reply.text().contains(says)), "{topic}: {error:?}");
        }
        // An error reply that loses its text keeps its code.
        let strict = Place::new();
        let server = Server::builder(strict.socket()).max_message_len(90).build();
        server.listen().await.unwrap();
        let client = Client::builder(strict.socket()).request_timeout(LONG).build();
        client.connect().await.unwrap();
        let error = failed(client.request_raw("without a responder", &())).await;
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn request_without_connection_returns_send_error() {
        let (place, server, client) = connected().await;
        let stranger = Client::new(place.socket());
        let error = failed(stranger.request(&ADD)).await;
        assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })), "{error:?}");
        let id = server.clients()[0];
        let mut gone = Events::new();
        let report = gone.reporter();
        server.on_connection_close(move |_, _| report(()));
        client.close().await;
        let error = failed(client.request(&ADD)).await;
        assert!(matches!(error, RequestError::Send(SendError::Closed { .. })), "{error:?}");
        gone.next().await;
        let error = failed(server.request(&ADD, id)).await;
        assert!(matches!(error, RequestError::Send(SendError::UnknownClient { .. })), "{error:?}");
        server.close().await;
        let error = failed(server.request(&ADD, id)).await;
        assert!(matches!(error, RequestError::Send(SendError::Closed { .. })), "{error:?}");
    }

    async fn request_dropped_or_timed_out_counts_a_late_reply() {
        /// `Wait` for a requester that does not cancel.
        #[derive(Topic, Serialize)]
        #[topic(name = "wait", reply = Waited, no_cancel)]
        struct Stubborn(u64);

        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        drop(client.request(&Stubborn(1)));
        let error = failed(client.request(&Stubborn(2)).timeout(Duration::ZERO)).await;
        assert!(matches!(&error, RequestError::Timeout { topic, timeout: Duration::ZERO } if topic == "wait"), "{error:?}");
        gate.add_permits(2);
        let last = client.request(&Wait(3));
        gate.add_permits(1);
        soon("the reply", last).await.unwrap();
        assert_eq!(client.stats().late_replies, 2);
    }

    async fn responder_removed_while_request_is_held_gets_no_responder() {
        let (_place, server, client) = connected().await;
        let responder = Arc::new(std::sync::OnceLock::new());
        let (known, handle) = (Arc::clone(&responder), server.handle());
        server.on_async::<Add>(move |_, _| {
            let (known, handle) = (Arc::clone(&known), handle.clone());
            async move {
                tokio::task::yield_now().await;
                handle.off(*known.get().unwrap());
            }
        });
        responder.set(server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap()).unwrap();
        let error = failed(client.request(&ADD)).await;
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn request_timeout_passed_cannot_be_extended() {
        let (_place, server, client) = connected().await;
        let _gate = gated(&server);
        let reply = client.request(&Wait(1)).timeout(Duration::ZERO);
        // Sent later, and due later: both are overdue by now.
        failed(client.request(&Wait(2)).timeout(Duration::from_millis(1))).await;
        let error = failed(reply.timeout(LONG)).await;
        assert!(matches!(&error, RequestError::Timeout { timeout: Duration::ZERO, .. }), "{error:?}");
    }
}

/// In memory, on a paused clock.
#[tokio::test(start_paused = true)]
async fn request_timeout_default_and_own_are_kept() {
    let server = Server::new("in memory");
    let _gate = gated(&server);
    let client = server.in_memory_client().build();
    client.connect().await.unwrap();
    let start = tokio::time::Instant::now();
    let default = client.request(&Wait(1));
    let longer = client.request(&Wait(2)).timeout(Duration::from_secs(60));
    let error = default.await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Timeout { timeout, .. } if *timeout == Duration::from_secs(10)),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    // The timeout runs from the call, not from the await.
    assert!(matches!(longer.await, Err(RequestError::Timeout { .. })));
    assert_eq!(start.elapsed().as_secs(), 60);
}
