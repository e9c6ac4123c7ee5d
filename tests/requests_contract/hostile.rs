//! Peers that request and cancel to do harm.

use std::sync::Mutex;
use std::time::Instant;

use socket_ipc::{ErrorReply, MessageErrorKind, ReplyError, ReplySender};
use tokio::io::AsyncWriteExt as _;

use super::*;

/// The size of an attack: what an environment variable says, or a small one. `.ci/long` runs them in full.
fn size(variable: &str, small: usize) -> usize {
    std::env::var(variable).map_or(small, |text| text.parse().expect("a number"))
}

/// How many pairs of a request and its cancel a hostile peer sends.
fn pairs() -> usize {
    size("SOCKET_IPC_PAIRS", 100_000)
}

/// `count` pairs, in chunks of 500.
fn chunks_of_pairs(count: usize) -> impl Iterator<Item = String> + Send + 'static {
    (0..count / 500)
        .map(|chunk| (0..500).map(|pair| request_and_cancel("work", 500 * chunk + pair)).collect())
}

fn request_and_cancel(topic: &str, id: usize) -> String {
    format!(
        "{{\"topic\":\"{topic}\",\"message\":1,\"id\":{id}}}\n{{\"topic\":\"socket-ipc.cancel\",\"message\":{id},\"re\":0}}\n"
    )
}

/// Writes this while an innocent client's round trips go on. Returns the peer, and how many round trips there were.
async fn meanwhile(
    mut peer: RawPeer,
    client: &Client,
    chunks: impl Iterator<Item = String> + Send + 'static,
    mut check: impl FnMut(),
) -> (RawPeer, usize) {
    let hostile = tokio::spawn(async move {
        for chunk in chunks {
            peer.stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        peer
    });
    let (started, mut round_trips) = (Instant::now(), Vec::new());
    while !hostile.is_finished() {
        let sent = Instant::now();
        ping(client).await;
        round_trips.push(sent.elapsed());
        check();
    }
    let peer = hostile.await.unwrap();
    round_trips.sort_unstable();
    let at = |share: usize| {
        let last = round_trips.len().saturating_sub(1);
        round_trips.get(last * share / 100).copied().unwrap_or_default()
    };
    println!(
        "{} round trips in {:?}: half within {:?}, 99 of 100 within {:?}, all within {:?}",
        round_trips.len(),
        started.elapsed(),
        at(50),
        at(99),
        at(100)
    );
    (peer, round_trips.len())
}

support::both_flavours! {
    async fn request_and_cancel_pairs_leave_round_trips_and_places_free() {
        const MOST: usize = 16;
        let (place, server, client) = connected_with(|server| server.max_requests(MOST), |client| client).await;
        let (guards, _) = works_for_ever(&server);
        let (peer, _) = raw_peer(&place, &server).await;
        let (counted, mut begun) = (guards.clone(), vec![0]);
        let (mut peer, round_trips) = meanwhile(peer, &client, chunks_of_pairs(pairs()), || {
            begun.push(counted.begun());
        }).await;
        assert!(round_trips > 0);
        raw_ping(&mut peer).await;
        assert_eq!(guards.begun(), guards.dropped());
        println!("{} responders began, at most {} ran at once", guards.begun(), guards.most());
        assert!(guards.most() <= MOST, "{} responders ran at once", guards.most());
        // A round trip waits for few turns, and no more than `MOST` responders begin in a turn.
        let mut meanwhile: Vec<_> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
        meanwhile.sort_unstable();
        let half = meanwhile[meanwhile.len() / 2];
        println!("during half of the round trips at most {half} responders began");
        assert!(half <= 10 * MOST, "{half} responders began during a round trip");
        // What is written is counted a little later.
        until("an empty outbox", || server.stats().outbox_len == 0).await;
    }

    async fn request_and_cancel_pairs_of_keeping_actor_stay_within_max_requests() {
        const MOST: usize = 16;
        let (place, server, client) = connected_with(|server| server.max_requests(MOST), |client| client).await;
        let kept = Arc::new(Mutex::new(Vec::<ReplySender<Work>>::new()));
        let (keeping, most) = (Arc::clone(&kept), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        server.respond_with::<Work>(move |_, reply| {
            let mut kept = keeping.lock().unwrap();
            kept.push(reply);
            seen.fetch_max(kept.len(), Ordering::SeqCst);
        }).unwrap();
        let (peer, _) = raw_peer(&place, &server).await;
        let (releasing, mut turns) = (Arc::clone(&kept), 0);
        let (mut peer, round_trips) = meanwhile(peer, &client, chunks_of_pairs(pairs()), move || {
            turns += 1;
            // The actor gets to a few of them now and then.
            if turns % 4 == 0 {
                let released: Vec<_> = { let mut kept = releasing.lock().unwrap(); let len = kept.len(); kept.drain(len / 2..).collect() };
                for reply in released {
                    let error = reply.send(Ok(1)).err();
                    assert!(error.is_none() || matches!(error, Some(ReplyError::Cancelled { .. } | ReplyError::OutboxFull { .. })), "{error:?}");
                }
            }
        }).await;
        assert!(round_trips > 0);
        let releasing = Arc::clone(&kept);
        let release = tokio::spawn(async move {
            loop {
                releasing.lock().unwrap().clear();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        peer.write("{\"topic\":\"ping\",\"message\":7,\"id\":\"ping\"}\n").await;
        while !peer.line().await.ends_with("\"re\":\"ping\"}") {}
        release.abort();
        assert!(most.load(Ordering::SeqCst) <= MOST, "{most:?} senders at once");
        assert!(most.load(Ordering::SeqCst) > 0);
    }

    async fn cancels_of_unknown_ids_leave_round_trips_free() {
        let (place, server, client) = connected().await;
        let (guards, mut begun) = works_for_ever(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write((0..300).map(|id| format!("{{\"topic\":\"work\",\"message\":1,\"id\":{id}}}\n")).collect::<String>()).await;
        begun.take(300).await;
        let chunks = (0..pairs() / 2_000).map(|chunk| {
            (0..200).map(|at| format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{},\"re\":0}}\n", 1_000_000 + 200 * chunk + at)).collect()
        });
        let (mut peer, round_trips) = meanwhile(peer, &client, chunks, || {}).await;
        assert!(round_trips > 0);
        raw_ping(&mut peer).await;
        assert_eq!(guards.dropped(), 0);
    }

    async fn request_id_of_any_other_form_is_message_error_and_runs_nothing() {
        let (place, server, _client) = connected_with(|server| server.max_message_len(16 << 20), |client| client).await;
        let (mut errors, mut called) = (Events::new(), Events::new());
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        for topic in ["sync", "work", "deferred"] {
            let report = called.reporter();
            server.on_topic(topic, move |_, _| report(topic));
        }
        let report = called.reporter();
        server.respond_raw("sync", Some("sync"), move |_, _| { report("sync"); Ok(1) }).unwrap();
        let report = called.reporter();
        server.respond_async::<Work>(move |Work(number), _| { report("work"); async move { number } }).unwrap();
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "deferred", reply = u64)]
        struct Deferred(u64);
        let report = called.reporter();
        server.respond_with::<Deferred>(move |_, _reply| report("deferred")).unwrap();
        let (mut peer, _) = raw_peer(&place, &server).await;
        let huge = format!("\"{}\"", "9".repeat(4 << 20));
        let huge_number = "9".repeat(4 << 20);
        let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for id in ["7.5", "1e-1", "1e999", "{}", r#"{"id":7}"#, "[]", "[7]", "true", "null", &nested, &huge, &huge_number] {
            for topic in ["sync", "work", "deferred"] {
                peer.write(format!("{{\"topic\":\"{topic}\",\"message\":1,\"id\":{id}}}\n")).await;
                let kind = errors.next().await;
                assert!(matches!(&kind, MessageErrorKind::RequestId { topic: named, .. } if named == topic), "{:.100}", format!("{kind:?}"));
                assert!(format!("{kind:?}").len() < 100_000, "a report of bounded length");
            }
            // As the id in a cancel.
            peer.write(format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{id},\"re\":0}}\n")).await;
            raw_ping(&mut peer).await;
        }
        assert!(called.rest().is_empty(), "nothing runs");
        errors.rest();
        peer.write("{\"topic\":\"work\",\"message\":1,\"id\":1}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"work","message":1,"re":1}"#);
    }

    async fn large_replies_to_client_that_does_not_read_stay_under_outbox_len() {
        // In full: 1,024 replies of 4 MiB.
        let count = size("SOCKET_IPC_LARGE_REPLIES", 64);
        let len = if count > 64 { 4 << 20 } else { 1 << 18 };
        let outbox = 3 * len;
        let (place, server, client) = connected_with(|server| server.outbox_len(outbox), |client| client).await;
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "large", reply = String)]
        struct Large;
        let mut given = Events::<ReplySender<Large>>::new();
        let report = given.reporter();
        server.respond_with::<Large>(move |_, reply| report(reply)).unwrap();
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write((1..=count).map(|id| format!("{{\"topic\":\"large\",\"message\":null,\"id\":{id}}}\n")).collect::<String>()).await;
        let (mut sent, mut text) = (0, "x".repeat(len - 100));
        let mut full = Vec::new();
        for sender in given.take(count).await {
            match sender.send(Ok(text)) {
                Ok(()) => {
                    sent += 1;
                    text = "x".repeat(len - 100);
                }
                Err(ReplyError::OutboxFull { sender, reply, .. }) => {
                    text = reply.unwrap();
                    full.push(sender);
                }
                Err(error) => panic!("{error:?}"),
            }
            assert!(server.stats().outbox_len <= outbox as u64);
        }
        println!("{sent} of {count} replies were queued, at most {} bytes at once", server.stats().outbox_peak);
        assert!((1..20).contains(&sent), "{sent} of {count} were queued");
        ping(&client).await;
        // Dropped, each is an error reply. They are short.
        drop(full);
        let mut unanswered = 0;
        for _ in 0..count {
            unanswered += usize::from(peer.line().await.contains(ErrorReply::UNANSWERED));
        }
        assert_eq!(unanswered, count - sent);
    }
}
