//! The budget for what all connections of a server have received: peers that fill it, and peers that must not notice.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientId, CloseCause, MessageErrorKind, RequestError, Server, Topic, limits};
use support::{Events, Place, RawPeer, soon};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

const MIB: usize = 1024 * 1024;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = Pong)]
struct Ping(String);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "pong"]
struct Pong(usize);

/// What a server reports of its connections.
#[derive(Debug)]
enum Report {
    Blob(usize),
    Error(ClientId, MessageErrorKind, u64),
    Closed(ClientId, CloseCause),
}

/// A message of `len` bytes, its delimiter included.
fn blob(len: usize) -> Vec<u8> {
    let (before, after) = (r#"{"topic":"blob","message":""#, "\"}\n");
    [before, &"x".repeat(len - before.len() - after.len()), after].concat().into_bytes()
}

/// A server that takes messages of 1 MiB, and holds `total` bytes of them.
async fn server(place: &Place, total: usize) -> (Server, Events<Report>) {
    let server = Server::builder(place.socket()).max_message_len(MIB).inbox_total_len(total).build();
    let events = Events::new();
    let report = events.reporter();
    server.on_topic("blob", {
        let report = report.clone();
        move |message, _| report(Report::Blob(message.as_str().len()))
    });
    server.on_message_error({
        let report = report.clone();
        move |error, client| report(Report::Error(client, error.kind().clone(), error.len()))
    });
    server.on_connection_close(move |client, reason| report(Report::Closed(client, reason.cause.clone())));
    server.respond::<Ping>(|ping, _| Pong(ping.0.len())).unwrap();
    server.listen().await.unwrap();
    (server, events)
}

/// Peers that have each sent a message of the given length without its last byte.
async fn unfinished(place: &Place, lens: &[usize]) -> Vec<RawPeer> {
    let mut peers = Vec::new();
    for len in lens {
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(&blob(*len)[..len - 1]).await;
        peers.push(peer);
    }
    peers
}

/// Waits until the server has read what the peers have written. Small messages pass at once even then.
async fn settle(client: &Client) {
    for _ in 0..20 {
        assert_eq!(soon("a reply", client.request(&Ping("x".into()))).await.unwrap(), Pong(1));
    }
}

support::both_flavours! {
    async fn inbox_full_large_message_arrives_largest_quiet_peer_disconnected() {
        let place = Place::new();
        let (_server, mut events) = server(&place, MIB).await;
        let client = Client::new(place.socket());
        client.connect().await.unwrap();
        let mut peers = unfinished(&place, &[MIB - 1, MIB / 8, MIB / 8]).await;
        settle(&client).await;
        // Messages arrive until a quiet peer may be disconnected for them.
        let disconnected = soon("the end of the largest", async {
            loop {
                RawPeer::connect(place.socket()).await.write(blob(MIB / 2)).await;
                match events.next().await {
                    Report::Blob(len) => assert!(len > MIB / 2 - 100, "{len}"),
                    Report::Error(client, MessageErrorKind::InboxFull { limit }, len) => {
                        assert_eq!((limit, len), (MIB, MIB as u64 - 2));
                        return client;
                    }
                    Report::Closed(_, CloseCause::PeerClosed) => {}
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
        while !matches!(events.next().await, Report::Closed(client, CloseCause::InboxFull) if client == disconnected) {}
        assert_eq!(peers[0].closed().await, b"");
        // That made room for a message. The other peers finish theirs.
        for peer in [1, 2] {
            peers[peer].write(b"\n").await;
            while !matches!(events.next().await, Report::Blob(len) if len < MIB / 2 - 100) {}
        }
    }

    async fn inbox_full_small_messages_pass() {
        let place = Place::new();
        let (_server, _events) = server(&place, MIB).await;
        let client = Client::new(place.socket());
        client.connect().await.unwrap();
        let _peers = unfinished(&place, &[MIB - 1; 4]).await;
        for len in [1, 100, 10_000, 40_000] {
            let before = Instant::now();
            let reply = client.request(&Ping("x".repeat(len))).await;
            assert_eq!(reply.unwrap(), Pong(len));
            assert!(before.elapsed() < limits::WRITE_STALL);
        }
    }

    async fn inbox_zero_messages_arrive_in_turns() {
        let place = Place::new();
        let (_server, mut events) = server(&place, 0).await;
        let mut sending = Vec::new();
        for _ in 0..20 {
            let mut peer = RawPeer::connect(place.socket()).await;
            sending.push(tokio::spawn(async move {
                for len in [MIB / 3, 100_000, MIB, 70_000, 10, 200_000].map(|len: usize| len.max(64)) {
                    peer.write(blob(len)).await;
                }
                peer
            }));
        }
        for _ in 0..20 * 6 {
            match events.next().await {
                Report::Blob(..) => {}
                other => panic!("{other:?}"),
            }
        }
        for peer in sending {
            peer.await.unwrap();
        }
    }

    async fn inbox_full_of_held_back_messages_others_are_read() {
        let place = Place::new();
        let (server, mut events) = server(&place, MIB).await;
        let gate = std::sync::Arc::new(Semaphore::new(0));
        let closed = std::sync::Arc::clone(&gate);
        server.on_message(|_, _, _| {});
        server.on_async::<Slow>(move |_, _| {
            let closed = std::sync::Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        // The messages held back fill the budget, and the rest stays in the sockets.
        let mut holding = Vec::new();
        for _ in 0..4 {
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write(b"{\"topic\":\"slow\",\"message\":null}\n").await;
            holding.push(tokio::spawn(async move {
                peer.write(blob(MIB / 2)).await;
                peer
            }));
        }
        let mut other_peer = RawPeer::connect(place.socket()).await;
        for len in [MIB, MIB / 2, MIB] {
            other_peer.write(blob(len)).await;
            assert!(matches!(events.next().await, Report::Blob(arrived) if arrived > len - 100));
        }
        // The messages held back are not lost.
        gate.add_permits(4);
        for _ in 0..4 {
            assert!(matches!(events.next().await, Report::Blob(len) if len < MIB / 2));
        }
        for peer in holding {
            peer.await.unwrap();
        }
    }

    async fn inbox_full_request_to_unread_client_returns_inbox_full() {
        let place = Place::new();
        let (server, mut events) = server(&place, 0).await;
        let gate = std::sync::Arc::new(Semaphore::new(0));
        let closed = std::sync::Arc::clone(&gate);
        server.on_async::<Slow>(move |_, _| {
            let closed = std::sync::Arc::clone(&closed);
            async move { closed.acquire().await.unwrap().forget() }
        });
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write(b"{\"topic\":\"slow\",\"message\":null}\n").await;
        // Behind it is more than a chunk: nothing more is read while there is no room.
        let mut behind = Vec::new();
        for _ in 0..10 {
            behind.extend_from_slice(&blob(20_000));
        }
        peer.write(&behind).await;
        let client = soon("the client", async {
            loop {
                if let Some(client) = server.clients().first().copied() {
                    return client;
                }
                tokio::task::yield_now().await;
            }
        }).await;
        let start = Instant::now();
        let error = soon("an error", server.request(&Ping("x".into()), client)).await.unwrap_err();
        let RequestError::InboxFull { topic, limit } = &error else { panic!("{error:?}") };
        assert_eq!((topic.as_str(), *limit), ("ping", 0));
        assert!(error.to_string().contains("inbox_total_len"), "{error}");
        assert!(start.elapsed() < limits::REQUEST_TIMEOUT);
        gate.add_permits(1);
        for _ in 0..10 {
            assert!(matches!(events.next().await, Report::Blob(..)));
        }
    }

    async fn inbox_full_of_running_requests_rejects_large_and_runs_small() {
        let place = Place::new();
        let (server, _events) = server(&place, 3 * MIB).await;
        let gate = std::sync::Arc::new(Semaphore::new(0));
        let closed = std::sync::Arc::clone(&gate);
        server.respond_async::<Work>(move |work, _| {
            let closed = std::sync::Arc::clone(&closed);
            async move {
                closed.acquire().await.unwrap().forget();
                Done(work.0.len())
            }
        }).unwrap();
        let work = |client: &Client, len| client.request(&Work("x".repeat(len)));
        // Each client has one running request, until there is no room for another.
        let (mut clients, mut running) = (Vec::new(), Vec::new());
        let rejected = loop {
            let client = Client::new(place.socket());
            client.connect().await.unwrap();
            let mut request = work(&client, MIB / 2);
            let small = work(&client, 1);
            clients.push(client);
            // Both have been received once the server replies to a later request.
            tokio::select! {
                biased;
                reply = &mut request => break reply,
                () = settle(&clients[clients.len() - 1]) => {}
            }
            running.push((request, small));
            assert!(running.len() < 10, "more requests run than there is room for");
        };
        assert!(running.len() >= 6, "there is room for more than {}", running.len());
        match rejected {
            Err(RequestError::Rejected { reply, .. }) => {
                assert_eq!(reply.code(), "too_many_requests");
                assert!(reply.text().contains("inbox_total_len"), "{}", reply.text());
            }
            other => panic!("{other:?}"),
        }
        gate.add_permits(100);
        for (large, small) in running {
            assert_eq!(soon("a reply", large).await.unwrap(), Done(MIB / 2));
            assert_eq!(soon("a reply", small).await.unwrap(), Done(1));
        }
        let other = &clients[0];
        // There is room again.
        assert_eq!(soon("a reply", work(other, MIB / 2)).await.unwrap(), Done(MIB / 2));
    }

    async fn inbox_full_trickling_peer_is_disconnected() {
        let place = Place::new();
        let (_server, mut events) = server(&place, 0).await;
        // Both have sent more than a chunk of a message, and together more than the reserve and the turn beyond it.
        let mut trickling = unfinished(&place, &[MIB - 1; 2]).await;
        let mut other_peer = RawPeer::connect(place.socket()).await;
        let sending = tokio::spawn(async move {
            other_peer.write(blob(MIB)).await;
            other_peer
        });
        let trickle = async {
            let mut every = tokio::time::interval(Duration::from_millis(200));
            loop {
                every.tick().await;
                for peer in &mut trickling {
                    let _ = peer.stream.write(b" ").await;
                }
            }
        };
        let arrival = async {
            loop {
                match events.next().await {
                    Report::Blob(len) if len > MIB - 100 => return,
                    Report::Blob(..) => panic!("a trickled message is not complete"),
                    Report::Error(_, kind, _) => assert!(matches!(kind, MessageErrorKind::InboxFull { .. })),
                    Report::Closed(..) => {}
                }
            }
        };
        tokio::select! {
            () = trickle => {}
            () = soon("the message", arrival) => {}
        }
        sending.await.unwrap();
    }
}

/// A message for an asynchronous listener.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "slow"]
struct Slow;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "work", reply = Done)]
struct Work(String);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "done"]
struct Done(usize);
