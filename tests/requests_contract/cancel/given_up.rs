//! Responders whose requester drops the reply future or times out: they are dropped, unless they are `no_cancel`.

use socket_ipc::ReplySender;

use super::*;

/// A request whose responder runs on.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "keep", reply = u64, no_cancel)]
struct Keep(u64);

support::both_flavours! {
    async fn reply_future_dropped_drops_responder_and_frees_its_place() {
        let (_place, server, client) = connected_with(|server| server.max_requests(1), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        for number in 1..=20 {
            let reply = client.request(&Work(number as u64));
            assert_eq!(begun.next().await, number as u64);
            drop(reply);
            // Its only place is free within a round trip, and its guard is dropped.
            ping(&client).await;
            assert_eq!((guards.begun(), guards.dropped()), (number, number));
        }
        assert_eq!((client.stats().late_replies, server.stats().late_replies), (0, 0));
    }

    async fn reply_future_timed_out_drops_responder_and_frees_its_place() {
        let (_place, server, client) = connected_with(|server| server.max_requests(1), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        for number in 1..=20 {
            let reply = client.request(&Work(number as u64));
            assert_eq!(begun.next().await, number as u64);
            let error = failed(reply.timeout(Duration::from_millis(1))).await;
            assert!(matches!(error, RequestError::Timeout { .. }), "{error:?}");
            ping(&client).await;
            assert_eq!((guards.begun(), guards.dropped()), (number, number));
        }
        // A raw request, too.
        drop(client.request_raw("work", &21));
        ping(&client).await;
        assert_eq!(guards.begun(), guards.dropped());
    }

    async fn request_of_server_dropped_drops_responder_of_client() {
        let (_place, server, client) = connected_with(|server| server, |client| client.max_requests(1)).await;
        let (guards, mut begun) = (Guards::default(), Events::new());
        let (held, report) = (guards.clone(), begun.reporter());
        client.respond_async::<Work>(move |Work(number)| {
            let guard = held.begin();
            report(number);
            async move {
                let _guard = guard;
                std::future::pending::<u64>().await
            }
        }).unwrap();
        let id = server.clients()[0];
        for number in 1..=20 {
            let reply = server.request(&Work(number as u64), id);
            assert_eq!(begun.next().await, number as u64);
            if number % 2 == 0 {
                drop(reply);
            } else {
                failed(reply.timeout(Duration::from_millis(1))).await;
            }
            assert_eq!(soon("a round trip", server.request(&Ping(1), id)).await.unwrap(), 1);
            assert_eq!((guards.begun(), guards.dropped()), (number, number));
        }
    }

    async fn responder_dropped_by_cancel_sends_nothing() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write(request(1, "1")).await;
        begun.next().await;
        peer.write(cancel("1")).await;
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
    }

    async fn no_cancel_responder_runs_on() {
        let (place, server, client) = connected().await;
        let gate = Arc::new(Semaphore::new(0));
        let (guards, mut begun) = (Guards::default(), Events::new());
        let (held, report, closed) = (guards.clone(), begun.reporter(), Arc::clone(&gate));
        let token = server.respond_async::<Keep>(move |Keep(number), _| {
            let (guard, closed) = (held.begin(), Arc::clone(&closed));
            report(number);
            async move {
                let _guard = guard;
                closed.acquire().await.unwrap().forget();
                number
            }
        }).unwrap();
        let (mut peer, id) = raw_peer(&place, &server).await;
        drop(client.request(&Keep(1)));
        begun.next().await;
        failed(client.request(&Keep(2)).timeout(Duration::from_millis(1))).await;
        begun.next().await;
        // A cancel of a foreign program changes nothing.
        peer.write("{\"topic\":\"keep\",\"message\":3,\"id\":3}\n").await;
        begun.next().await;
        peer.write(cancel("3")).await;
        raw_ping(&mut peer).await;
        ping(&client).await;
        assert_eq!(guards.dropped(), 0);
        gate.add_permits(3);
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":3,"re":3}"#);
        until("the end of the others", || guards.dropped() == 3).await;
        ping(&client).await;
        assert_eq!(client.stats().late_replies, 2);
        // No line is sent.
        drop(server.request(&Keep(1), id));
        failed(server.request(&Keep(2), id).timeout(Duration::from_millis(1))).await;
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":1,"id":1}"#);
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":2,"id":2}"#);
        raw_ping(&mut peer).await;
        server.off(token);
        // A sender is not told.
        let mut given = Events::<ReplySender<Keep>>::new();
        let report = given.reporter();
        server.respond_with::<Keep>(move |_, reply| report(reply)).unwrap();
        peer.write(["{\"topic\":\"keep\",\"message\":4,\"id\":4}\n", &cancel("4")].concat()).await;
        let sender = given.next().await;
        raw_ping(&mut peer).await;
        assert!(sender.cancelled().now_or_never().is_none());
        sender.send(Ok(5)).unwrap();
        assert_eq!(peer.line().await, r#"{"topic":"keep","message":5,"re":4}"#);
    }

    async fn ten_thousand_requests_given_up_drop_all_guards() {
        let (place, server, client) = connected().await;
        let (guards, _begun) = works_for_ever(&server);
        for batch in 0..100 {
            let replies: Vec<_> = (0..100).map(|number| client.request(&Work(number))).collect();
            if batch % 4 == 0 {
                // All of them run before they are given up.
                let running = guards.dropped() + 100;
                until("the responders", || guards.begun() >= running).await;
            }
            for (at, reply) in replies.into_iter().enumerate() {
                if at % 10 == 0 {
                    failed(reply.timeout(Duration::ZERO)).await;
                } else {
                    drop(reply);
                }
            }
            ping(&client).await;
            assert_eq!(guards.begun(), guards.dropped());
        }
        assert!(guards.begun() >= 2_500);
        assert_eq!(client.stats().late_replies, 0);
        // A requester that is killed.
        for _ in 0..10 {
            let (mut peer, _) = raw_peer(&place, &server).await;
            let before = guards.begun();
            peer.write((0..100).map(|number| request(number, "1")).collect::<String>()).await;
            until("the responders", || guards.begun() == before + 100).await;
            drop(peer);
            until("the end of the responders", || guards.dropped() == before + 100).await;
        }
    }
}
