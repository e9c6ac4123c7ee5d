//! Replies that are larger than the outbox, and clients that do not read them.

use super::*;

support::both_flavours! {
    async fn client_reads_no_replies_its_requests_wait_until_it_reads() {
        const LEN: usize = 100_000;
        let place = Place::new();
        let server = Server::builder(place.socket()).outbox_len(4 * LEN).build();
        server.listen().await.unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        server.respond_raw("long", Some("long reply"), move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok("x".repeat(LEN))
        }).unwrap();
        let mut pings = Events::new();
        let report = pings.reporter();
        server.on_topic("ping", move |_, _| report(()));
        let mut greedy = RawPeer::connect(place.socket()).await;
        let requests: String = (0..50).map(|id| format!("{{\"topic\":\"long\",\"message\":0,\"id\":{id}}}\n")).collect();
        greedy.write(requests).await;
        // The server dispatches messages of another client meanwhile. By then it has read the requests of the first
        // one.
        let mut other = RawPeer::connect(place.socket()).await;
        for _ in 0..50 {
            other.write("{\"topic\":\"ping\"}\n").await;
            pings.next().await;
        }
        // What fills the outbox, one reply over its limit, and what the kernel holds.
        let most = 4 + 1 + 400_000 / LEN + 1;
        assert!((1..=most).contains(&calls.load(Ordering::Relaxed)), "{calls:?} calls");
        for id in 0..50 {
            assert!(greedy.line().await.ends_with(&format!(",\"re\":{id}}}")));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 50);
    }

    async fn client_gone_with_unread_replies_is_disconnected() {
        let place = Place::new();
        let server = Server::builder(place.socket()).outbox_len(1_000).build();
        server.listen().await.unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        server
            .respond_raw("long", Some("long reply"), move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok("x".repeat(500_000))
            })
            .unwrap();
        let mut gone = Events::new();
        let report = gone.reporter();
        server.on_connection_close(move |_, reason| report(reason.unsent_bytes));
        for _ in 0..3 {
            let mut greedy = RawPeer::connect(place.socket()).await;
            greedy.write("{\"topic\":\"long\",\"message\":0,\"id\":1}\n".repeat(10_000)).await;
            drop(greedy);
            let unsent = gone.next().await;
            assert!((1..2_000_000).contains(&unsent), "{unsent} bytes were queued for a client that is gone");
        }
        assert_eq!(server.stats().outbox_len, 0);
    }

    async fn requests_both_ways_larger_than_outbox_all_get_replies() {
        let (_place, server, client) = connected().await;
        server.respond_raw("long", Some("long reply"), |_, _| Ok("x".repeat(2_000_000))).unwrap();
        client.respond_raw("long", Some("long reply"), |_| Ok("y".repeat(2_000_000))).unwrap();
        let id = server.clients()[0];
        let replies: Vec<_> = (0..10)
            .flat_map(|_| [client.request_raw("long", &()), server.request_raw("long", &(), id)])
            .collect();
        for reply in soon("all replies", join_all(replies)).await {
            assert_eq!(reply.unwrap().as_str().len(), 2_000_002);
        }
    }
}
