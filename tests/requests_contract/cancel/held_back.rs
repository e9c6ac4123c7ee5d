//! Cancels of requests that are held back, and cancels behind messages that are.

use super::*;

/// A message whose listener waits for the test.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "wait"]
struct Wait;

support::both_flavours! {
    async fn held_request_that_was_cancelled_is_never_dispatched() {
        let (place, server, client) = connected_with(|server| server.max_requests(1), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<Work>(move |Work(number), _| report(number));
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write([request(1, "1"), request(2, "2"), request(3, "\"3\""), request(4, "4")].concat()).await;
        assert_eq!(begun.next().await, 1);
        peer.write([cancel("2"), cancel("\"3\"")].concat()).await;
        scanned(&server, (&mut peer, id)).await;
        assert_eq!(guards.dropped(), 0);
        // They pass the fourth, which is held back.
        peer.write(cancel("1")).await;
        assert_eq!(begun.next().await, 4);
        peer.write(cancel("4")).await;
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (2, 2));
        assert_eq!(received.rest(), [1, 4], "no listener received the others");
        // The same by the library.
        let first = client.request(&Work(11));
        assert_eq!(begun.next().await, 11);
        let replies: Vec<_> = (12..30).map(|number| client.request(&Work(number))).collect();
        let last = client.request(&Work(30));
        drop(replies);
        drop(first);
        assert_eq!(begun.next().await, 30);
        drop(last);
        ping(&client).await;
        assert!(begun.rest().is_empty());
        assert_eq!(guards.dropped(), 4);
    }

    async fn request_behind_waiting_listener_that_was_cancelled_is_never_dispatched() {
        let (place, server, _client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (gate, mut waiting) = (Arc::new(Semaphore::new(0)), Events::new());
        let (closed, report) = (Arc::clone(&gate), waiting.reporter());
        server.on_async::<Wait>(move |_, _| {
            report(());
            let closed = Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write(["{\"topic\":\"wait\",\"message\":null}\n", &request(1, "1"), &request(2, "2"), &cancel("1")].concat()).await;
        waiting.next().await;
        scanned(&server, (&mut peer, id)).await;
        gate.add_permits(1);
        assert_eq!(begun.next().await, 2);
        peer.write(cancel("2")).await;
        raw_ping(&mut peer).await;
        assert_eq!((guards.begun(), guards.dropped()), (1, 1));
    }

    async fn held_requests_in_thousands_that_were_cancelled_are_never_dispatched() {
        const COUNT: u64 = 3_000;
        let (_place, server, client) =
            connected_with(|server| server.max_requests(5_000), |client| client.max_requests(5_000)).await;
        let (guards, mut begun) = works_for_ever(&server);
        let gate = Arc::new(Semaphore::new(0));
        let closed = Arc::clone(&gate);
        server.on_async::<Wait>(move |_, _| {
            let closed = Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        client.send(&Wait).unwrap();
        let mut replies: Vec<_> = (1..=COUNT).map(|number| client.request(&Work(number))).collect();
        let last = replies.pop();
        drop(replies);
        // The reply comes after the cancels, and past everything that is held back.
        soon("a round trip", server.request(&Ping(1), server.clients()[0])).await.unwrap();
        gate.add_permits(1);
        assert_eq!(begun.next().await, COUNT);
        drop(last);
        ping(&client).await;
        assert_eq!((guards.begun(), guards.dropped()), (1, 1));
    }

    async fn front_request_cancelled_while_its_listener_waits_calls_no_responder() {
        let (place, server, _client) = connected().await;
        let (gate, mut waiting) = (Arc::new(Semaphore::new(0)), Events::new());
        let (closed, report) = (Arc::clone(&gate), waiting.reporter());
        server.on_async::<Work>(move |Work(number), _| {
            report(number);
            let closed = Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        let mut later = Events::new();
        let report = later.reporter();
        server.on_topic("work", move |message, _| report(message.to_string()));
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, id) = raw_peer(&place, &server).await;
        for (number, id_text, others, is_cancelled) in [
            (1, "1", "2", true),
            (2, "\"a\"", "\"b\"", true),
            (3, "3.0", "3", true),
            (4, "4", "4.0", false),
        ] {
            peer.write(request(number, id_text)).await;
            assert_eq!(waiting.next().await, number);
            peer.write(cancel(others)).await;
            if is_cancelled {
                peer.write(cancel(id_text)).await;
            }
            scanned(&server, (&mut peer, id)).await;
            gate.add_permits(1);
            // A message that has reached one listener reaches all of them.
            assert_eq!(later.next().await, number.to_string());
            if !is_cancelled {
                assert_eq!(begun.next().await, number);
                peer.write(cancel(id_text)).await;
            }
            raw_ping(&mut peer).await;
        }
        assert!(begun.rest().is_empty());
        assert_eq!((guards.begun(), guards.dropped()), (1, 1));
    }

    async fn cancel_passes_messages_that_are_held_back() {
        let (place, server, _client) = connected_with(|server| server.max_requests(2), |client| client).await;
        let (guards, mut begun) = works_for_ever(&server);
        let mut news = Events::new();
        let report = news.reporter();
        server.on_topic("news", move |message, _| report(message.as_str().len()));
        let (mut peer, id) = raw_peer(&place, &server).await;
        peer.write([request(1, "1"), request(2, "2")].concat()).await;
        begun.take(2).await;
        // Messages of 500 kB hold nothing up.
        for _ in 0..50 {
            peer.write(format!("{{\"topic\":\"news\",\"message\":\"{}\"}}\n", "x".repeat(10_000))).await;
        }
        scanned(&server, (&mut peer, id)).await;
        assert!(news.rest().is_empty(), "they are held back");
        peer.write(cancel("2")).await;
        assert_eq!(news.take(50).await, [10_002; 50]);
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 1);
    }
}
