//! The room of cancels in the outbox of the requester.

use socket_ipc::SendError;

use super::*;

support::both_flavours! {
    async fn cancels_beyond_outbox_len_are_not_lost() {
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).outbox_len(1_000_000).request_timeout(LONG).build();
        client.connect().await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        let text = "x".repeat(20_000);
        let mut replies = Vec::new();
        let error = loop {
            let mut reply = client.request_raw("work", &text);
            match (&mut reply).now_or_never() {
                None => replies.push(reply),
                Some(result) => break result.unwrap_err(),
            }
            if replies.len() % 8 == 0 {
                // The kernel takes what it can.
                tokio::task::yield_now().await;
            }
        };
        assert!(matches!(&error, RequestError::Send(SendError::OutboxFull { .. })), "{error:?}");
        let count = replies.len();
        assert!(count > 4);
        drop(replies);
        client.close().now_or_never();
        let bytes = String::from_utf8(server.closed().await).unwrap();
        let numbers = |start: &str| -> Vec<u64> {
            let lines = bytes.lines().filter(|line| line.starts_with(start));
            lines.map(|line| line.rsplit(',').find_map(|part| part.strip_prefix("\"id\":").or(part.strip_prefix("\"message\":"))).unwrap().trim_end_matches('}').parse().unwrap()).collect()
        };
        let requests = numbers("{\"topic\":\"work\"");
        assert!(requests.len() <= count);
        assert_eq!(requests, numbers("{\"topic\":\"socket-ipc.cancel\""), "each that was sent is cancelled, once");
    }

    async fn cancels_of_requests_that_nobody_reads_stay_within_their_room() {
        const LEN: u64 = 1_000_000;
        const MOST: u64 = 16;
        let place = Place::new();
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket())
            .outbox_len(LEN as usize)
            .max_requests(MOST as usize)
            .request_timeout(LONG)
            .build();
        client.connect().await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        let mut count = 0;
        let error = loop {
            // As many as may be pending, and all are dropped.
            let mut replies: Vec<_> = (0..MOST).map(|number| client.request(&Work(number))).collect();
            let error = replies.iter_mut().find_map(|reply| reply.now_or_never());
            drop(replies);
            assert!(client.stats().outbox_len <= LEN + 64 * MOST, "{}", client.stats().outbox_len);
            count += 1;
            match error {
                Some(result) => break result.unwrap_err(),
                None if count % 4 == 0 => tokio::task::yield_now().await,
                None => {}
            }
        };
        assert!(matches!(&error, RequestError::Send(SendError::OutboxFull { .. })), "{error:?}");
        client.close().now_or_never();
        let bytes = String::from_utf8(server.closed().await).unwrap();
        let lines = |start: &str| bytes.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("{\"topic\":\"work\""), lines("{\"topic\":\"socket-ipc.cancel\""));
        assert!(lines("{\"topic\":\"work\"") > 5_000);
    }
}
