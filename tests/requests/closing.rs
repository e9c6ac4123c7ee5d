//! Requests whose connection ends, or whose server closes.

use super::*;

support::both_flavours! {
    async fn connection_lost_pending_requests_fail_at_once() {
        let (place, server, client) = connected().await;
        let gate = gated(&server);
        let replies: Vec<_> = (0..100).map(|number| client.request(&Wait(number))).collect();
        let listening = client.request(&Wait(100));
        gate.add_permits(101);
        soon("the reply", listening).await.unwrap();
        drop(replies);
        let replies: Vec<_> = (0..100).map(|number| client.request(&Wait(number))).collect();
        drop(server);
        for reply in replies {
            let error = failed(reply).await;
            assert!(matches!(&error, RequestError::ConnectionLost { topic, cause: CloseCause::PeerClosed }
                if topic == "wait"), "{error:?}");
        }
        // The next connection has its own.
        let server = Server::new(place.socket());
        server.respond::<Add>(|Add { left, right }, _| Sum(left + right)).unwrap();
        let mut back = Events::new();
        let report = back.reporter();
        client.on_reconnect(move || report(()));
        server.listen().await.unwrap();
        back.next().await;
        assert_eq!(soon("the sum", client.request(&ADD)).await.unwrap(), Sum(5));
    }

    async fn client_close_pending_request_fails_at_once() {
        let (_place, server, client) = connected().await;
        let _gate = gated(&server);
        let reply = client.request(&Wait(1));
        let closing = client.close();
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::ConnectionLost { cause: CloseCause::Closed, .. }), "{error:?}");
        // The running responder does not delay the client that has left.
        soon("the close", closing).await;
    }

    async fn server_close_sends_all_replies_ready_in_time() {
        let (_place, server, client) = connected().await;
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        server.respond_async::<Wait>(move |Wait(_), _| {
            let opened = Arc::clone(&opened);
            async move {
                opened.acquire().await.unwrap().forget();
                // A long reply.
                Err::<Waited, _>(ErrorReply::new("long", "x".repeat(20_000)))
            }
        }).unwrap();
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("wait", move |_, _| report(()));
        let replies: Vec<_> = (0..100).map(|number| client.request(&Wait(number))).collect();
        received.take(100).await;
        let closing = server.close();
        gate.add_permits(100);
        for reply in replies {
            let error = failed(reply).await;
            assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "long"), "{error:?}");
        }
        soon("the close", closing).await;
    }

    async fn client_half_closed_still_gets_reply() {
        let (place, server, _client) = connected().await;
        let gate = gated(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_connection_close(move |_, reason| report(reason.unsent_messages));
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"wait\",\"message\":1,\"id\":1}\n").await;
        tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.unwrap();
        gate.add_permits(1);
        assert_eq!(peer.closed().await, b"{\"topic\":\"wait\",\"message\":1,\"re\":1}\n");
        assert_eq!(received.next().await, 0);
    }

    async fn server_close_waits_for_running_responder() {
        let (_place, server, client) = connected().await;
        let gate = gated(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on_topic("wait", move |_, _| report(()));
        let reply = client.request(&Wait(1));
        received.next().await;
        let closing = server.close();
        gate.add_permits(1);
        assert_eq!(soon("the reply", reply).await.unwrap(), Waited(1));
        soon("the close", closing).await;
    }

    async fn server_close_does_not_wait_for_responder_awaiting_it() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let (report, handle) = (received.reporter(), server.handle());
        server.respond_async::<Wait>(move |Wait(number), _| {
            let (report, closing) = (report.clone(), handle.close());
            async move {
                closing.await;
                report("closed");
                Waited(number)
            }
        }).unwrap();
        let error = failed(client.request(&Wait(1))).await;
        assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error:?}");
        assert_eq!(received.next().await, "closed");
        soon("the close", server.closed()).await;
    }

    async fn client_gone_running_responder_is_dropped_and_place_is_free() {
        struct Dropped(Box<dyn Fn() + Send + Sync>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0();
            }
        }
        let place = Place::new();
        let server = Server::builder(place.socket()).max_clients(1).build();
        let mut events = Events::new();
        let report = events.reporter();
        server
            .respond_async::<Wait>(move |Wait(_), _| {
                let (started, ended) = (report.clone(), report.clone());
                async move {
                    let _dropped = Dropped(Box::new(move || ended("dropped")));
                    started("started");
                    std::future::pending::<Waited>().await
                }
            })
            .unwrap();
        let report = events.reporter();
        server.on_connection_close(move |_, _| report("closed"));
        server.listen().await.unwrap();
        for _ in 0..3 {
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write("{\"topic\":\"wait\",\"message\":1,\"id\":1}\n").await;
            assert_eq!(events.next().await, "started");
            drop(peer);
            assert_eq!(events.take(2).await, ["dropped", "closed"]);
        }
        soon("the close", server.close()).await;
    }
}
