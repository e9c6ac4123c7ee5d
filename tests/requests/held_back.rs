//! Replies pass messages that are held back.

use super::*;

support::both_flavours! {
    async fn async_listener_requests_over_its_own_connection() {
        let (_place, server, client) = connected().await;
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let mut received = Events::new();
        let (report, requesting) = (received.reporter(), client.handle());
        client.on_async::<Waited>(move |Waited(number)| {
            let (report, reply) = (report.clone(), requesting.request(&Add { left: number as i64, right: 1 }));
            async move { report(reply.await.unwrap().0) }
        });
        let id = server.clients()[0];
        for number in 0..100 {
            server.send(&Waited(number), id).unwrap();
        }
        assert_eq!(received.take(100).await, (1..=100).collect::<Vec<_>>());
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn reply_key_with_escapes_behind_held_message_is_found() {
        let place = Place::new();
        let listener = tokio::net::UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).request_timeout(LONG).build();
        let mut replies = Events::new();
        let (report, requesting) = (replies.reporter(), client.handle());
        client.on_async::<Waited>(move |_| {
            let (report, reply) = (report.clone(), requesting.request(&ADD));
            async move { report(reply.await.unwrap().0) }
        });
        client.connect().await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        for (number, key) in ["re", r"r\u0065", r"\u0072e", r"\u0072\u0065"].into_iter().enumerate() {
            server.write("{\"topic\":\"waited\",\"message\":1}\n").await;
            let id = number + 1;
            assert!(server.line().await.ends_with(&format!("\"id\":{id}}}")));
            server.write(format!("{{\"topic\":\"sum\",\"message\":{id},\"{key}\":{id}}}\n")).await;
            assert_eq!(replies.next().await, id as i64);
        }
    }

    async fn responder_requests_back_recursively() {
        let (_place, server, client) = connected().await;
        let requesting = server.handle();
        server.respond_async::<Wait>(move |Wait(number), client_id| {
            let reply = (number > 0).then(|| requesting.request(&Wait(number - 1), client_id));
            async move {
                match reply {
                    Some(reply) => reply.await.map(|Waited(below)| Waited(below + 1)),
                    None => Ok(Waited(0)),
                }
            }
        }).unwrap();
        let requesting = client.handle();
        client.respond_async::<Wait>(move |Wait(number)| {
            requesting.request(&Wait(number))
        }).unwrap();
        assert_eq!(soon("the depth", client.request(&Wait(50))).await.unwrap(), Waited(50));
    }

    async fn reply_behind_full_subscription_arrives() {
        let (_place, server, client) = connected().await;
        let handle = server.handle();
        server.respond::<Add>(move |Add { left, right }, client_id| {
            for number in 0..1_000 {
                handle.send(&Waited(number), client_id).unwrap();
            }
            Sum(left + right)
        }).unwrap();
        let mut subscription = client.subscribe::<Waited>();
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        for number in 0..1_000 {
            assert_eq!(soon("a message", subscription.next()).await, Some(Waited(number)));
        }
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn async_listener_requests_more_than_read_ahead_gets_replies() {
        let (_place, server, client) = connected().await;
        server.respond_raw("long", Some("long reply"), |len, _| Ok("x".repeat(len.decode()?))).unwrap();
        let mut received = Events::new();
        let (report, requesting) = (received.reporter(), client.handle());
        client.on_async::<Waited>(move |Waited(len)| {
            let (report, requesting) = (report.clone(), requesting.clone());
            async move {
                for _ in 0..40 {
                    let reply = requesting.request_raw("long", &len).await;
                    report(reply.map(|text| text.as_str().len()).map_err(|error| error.to_string()));
                }
            }
        });
        let id = server.clients()[0];
        for len in [100_000, 2_000_000] {
            server.send(&Waited(len), id).unwrap();
            for _ in 0..40 {
                assert_eq!(received.next().await, Ok(len as usize + 2));
            }
        }
    }

    async fn malformed_reply_inside_listener_fails_at_once() {
        let (place, server, _client) = connected().await;
        let mut received = Events::new();
        let (report, requesting) = (received.reporter(), server.handle());
        server.on_async::<Waited>(move |Waited(_), client_id| {
            let (report, reply) = (report.clone(), requesting.request(&ADD, client_id));
            async move { report(reply.await.unwrap_err()) }
        });
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"waited\",\"message\":1}\n").await;
        peer.line().await;
        peer.write("{\"topic\":\"sum\",\"message\":nope,\"re\":1}\n").await;
        let error = received.next().await;
        assert!(matches!(error, RequestError::ReplyUndecodable { .. }), "{error:?}");
    }
}
