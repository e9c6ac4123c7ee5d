//! Limits: the length of messages and topics, and how many requests are in flight.

use super::*;

support::both_flavours! {
    async fn request_over_limit_with_string_id_gets_error_reply() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(1_000).build();
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let id = format!("\"{}\"", "u".repeat(64));
        peer.write(format!("{{\"topic\":\"add\",\"message\":\"{}\",\"id\":{id}}}\n", "x".repeat(100_000))).await;
        let line = peer.line().await;
        assert!(line.ends_with(&format!(",\"error\":true,\"re\":{id}}}")), "{line}");
    }

    async fn request_over_max_requests_returns_error_until_a_reply() {
        let (place, server, _client) = connected().await;
        let gate = gated(&server);
        let client = Client::builder(place.socket()).max_requests(2).request_timeout(LONG).build();
        client.connect().await.unwrap();
        let replies = [client.request(&Wait(1)), client.request(&Wait(2))];
        let error = failed(client.request(&Wait(3))).await;
        assert!(matches!(&error, RequestError::TooManyRequests { topic, limit: 2 } if topic == "wait"), "{error:?}");
        gate.add_permits(2);
        soon("the replies", join_all(replies)).await;
        gate.add_permits(1);
        assert_eq!(soon("the reply", client.request(&Wait(4))).await.unwrap(), Waited(4));
    }

    async fn request_over_limit_of_peer_fails_at_once() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(100_000).max_topic_len(50).build();
        server.listen().await.unwrap();
        server.respond_raw("long", Some("long reply"), |len, _| Ok("x".repeat(len.decode()?))).unwrap();
        let client = Client::builder(place.socket())
            .max_topic_len(1_000)
            .max_message_len(90_000)
            .request_timeout(LONG)
            .build();
        let requesting = Client::builder(place.socket()).request_timeout(LONG).build();
        client.connect().await.unwrap();
        requesting.connect().await.unwrap();
        let error = failed(client.request_raw(&"t".repeat(60), &())).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { text, .. }
            if text.contains("60 bytes, over the limit of 50")), "{error:?}");
        let error = failed(requesting.request_raw("long", &"x".repeat(300_000))).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { text, .. }
            if text.contains("over the limit of 100000")), "{error:?}");
        let error = failed(client.request_raw("long", &95_000)).await;
        assert!(matches!(&error, RequestError::ReplyUndecodable { reason, .. }
            if reason.contains("over the limit of 90000")), "{error:?}");
        // Both connections live.
        for client in [client, requesting] {
            assert_eq!(soon("a reply", client.request_raw("long", &1)).await.unwrap().as_str(), "\"x\"");
        }
    }

    async fn reply_over_limit_fails_however_it_arrives() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_message_len(1_000_000).outbox_len(100_000).build();
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        server.respond_raw("long", Some("long reply"), |_, _| Ok("x".repeat(900_000))).unwrap();
        server.respond_async::<Wait>(move |Wait(number), _| {
            let opened = Arc::clone(&opened);
            async move {
                opened.acquire().await.unwrap().forget();
                Waited(number)
            }
        }).unwrap();
        let mut here = Events::new();
        let report = here.reporter();
        server.on_topic("here", move |_, client_id| report(client_id));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"here\"}\n").await;
        let reply = server.request(&ADD, here.next().await);
        // The beginning of the reply is discarded. Its end arrives while unread replies hold messages back.
        peer.write(format!("{{\"topic\":\"sum\",\"message\":\"{}", "a".repeat(1_500_000))).await;
        peer.write("bbb\",\"re\":1}\n{\"topic\":\"long\",\"id\":7}\n").await;
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::ReplyUndecodable { reason, .. } if reason.contains("over the limit of 1000000")), "{error:?}");
        gate.add_permits(1);
    }

    async fn responders_running_stay_within_max_requests() {
        let place = Place::new();
        let server = Server::builder(place.socket()).max_requests(3).build();
        server.listen().await.unwrap();
        let gate = gated(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("wait", move |_, _| report(()));
        let mut peer = RawPeer::connect(place.socket()).await;
        let requests: String = (0..5).map(|id| format!("{{\"topic\":\"wait\",\"message\":{id},\"id\":{id}}}\n")).collect();
        peer.write(requests).await;
        received.take(3).await;
        let mut other = RawPeer::connect(place.socket()).await;
        other.write("{\"topic\":\"wait\",\"message\":9,\"id\":9}\n").await;
        received.next().await;
        assert!(received.rest().is_empty(), "a fourth was dispatched");
        gate.add_permits(6);
        assert_eq!(received.take(2).await.len(), 2);
        let mut replies = [peer.line().await, peer.line().await, peer.line().await, peer.line().await, peer.line().await];
        replies.sort();
        assert_eq!(replies[4], r#"{"topic":"wait","message":4,"re":4}"#);
    }
}
