//! Requests between whole processes, one of which is killed.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::future::ready;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, CloseCause, ReplyFuture, RequestError, SendError, Server, Topic};
use support::process::{Peer, command, once, text};
use support::{Events, Place, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "square", reply = Squared)]
struct Square(u64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "squared"]
struct Squared(u64);

/// A request that never gets a reply.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

support::whole_processes! {
    server_killed_pending_requests_fail_at_once_and_next_replies,
    client_killed_pending_requests_fail_at_once_and_another_replies,
    client_killed_before_its_replies_leaves_nothing_behind,
    client_killed_its_responders_are_dropped_ten_thousand_times,
}

const REQUESTS: u64 = 100_000;
/// Half of them get a reply soon, the others never.
const IN_FLIGHT: u64 = 512;

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(env!("CARGO_BIN_EXE_peer"), flavour, arguments))
}

fn runtime(flavour: &str) -> tokio::runtime::Runtime {
    let mut runtime = match flavour {
        "multi_thread" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    runtime.worker_threads(2).enable_all().build().unwrap()
}

/// Keeps requests in flight until `count` have their own reply; returns the pending ones.
async fn keep_requesting(
    count: u64,
    square: impl Fn(u64) -> ReplyFuture<Squared>,
) -> FuturesUnordered<impl Future<Output = (u64, Result<Squared, RequestError>)>> {
    let request = |number| {
        // The request is sent now, not at the first poll.
        let reply = square(number);
        async move { (number, reply.await) }
    };
    let mut replies: FuturesUnordered<_> = (0..IN_FLIGHT / 2).map(request).collect();
    for number in IN_FLIGHT / 2..IN_FLIGHT / 2 + count {
        let (replied, reply) = soon("a reply", replies.next()).await.unwrap();
        assert_eq!(reply.unwrap(), Squared(replied * replied));
        replies.push(request(number));
    }
    replies
}

fn assert_lost(error: &RequestError, requested: &str) {
    assert!(
        matches!(error, RequestError::ConnectionLost { topic, cause: CloseCause::PeerClosed } if topic == requested),
        "{error:?}"
    );
}

/// Asserts that all requests fail, except those whose reply came before the peer was killed.
async fn assert_all_lost(
    replies: FuturesUnordered<impl Future<Output = (u64, Result<Squared, RequestError>)>>,
    waiting: Vec<ReplyFuture<()>>,
) {
    let killed = Instant::now();
    let outcomes: Vec<_> = soon("the failures", replies.collect()).await;
    let (mut replied, mut lost) = (0, waiting.len());
    for (number, outcome) in outcomes {
        match outcome {
            Ok(squared) => {
                assert_eq!(squared, Squared(number * number));
                replied += 1;
            }
            Err(error) => {
                assert_lost(&error, "square");
                lost += 1;
            }
        }
    }
    for reply in waiting {
        assert_lost(&soon("the failure", reply).await.unwrap_err(), "wait");
    }
    let took = killed.elapsed();
    println!("{lost} failed and {replied} had their reply, known {took:?} after the kill");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

fn server_killed_pending_requests_fail_at_once_and_next_replies(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    runtime(flavour).block_on(async {
        let client =
            Client::builder(&path).request_timeout(LONG).retry_delay(Duration::from_millis(20)).build();
        let mut events = Events::new();
        let report = events.reporter();
        client.on_disconnect(move |_| report("disconnect"));
        let report = events.reporter();
        client.on_reconnect(move || report("reconnect"));
        client.connect().await.unwrap();

        let waiting = (0..IN_FLIGHT / 2).map(|_| client.request(&Wait)).collect();
        let replies = keep_requesting(REQUESTS / 2, |number| client.request(&Square(number))).await;
        server.kill();
        assert_all_lost(replies, waiting).await;
        assert_eq!(events.next().await, "disconnect");
        let error = soon("the error", client.request(&Square(1))).await.unwrap_err();
        assert!(matches!(error, RequestError::Send(SendError::NotConnected { .. })), "{error:?}");

        server = start(flavour, &["server", text(&path)]);
        assert_eq!(events.next().await, "reconnect");
        let mut replies = keep_requesting(1_000, |number| client.request(&Square(number))).await;
        while let Some((number, reply)) = soon("a reply", replies.next()).await {
            assert_eq!(reply.unwrap(), Squared(number * number));
        }
        assert_eq!(client.stats().late_replies, 0);
    });
    server.exits_well();
}

fn client_killed_pending_requests_fail_at_once_and_another_replies(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    runtime(flavour).block_on(async {
        let server = Server::builder(&path).request_timeout(LONG).build();
        let (mut connections, mut closes) = (Events::new(), Events::new());
        server.on_connection(connections.reporter());
        let report = closes.reporter();
        server.on_connection_close(move |id, reason| report((id, reason.cause.to_string())));
        server.listen().await.unwrap();
        let mut doomed = start(flavour, &["client", text(&path)]);
        let doomed_id = connections.next().await;
        let witness = start(flavour, &["client", text(&path)]);
        let witness_id = connections.next().await;

        let waiting = (0..IN_FLIGHT / 2).map(|_| server.request(&Wait, doomed_id)).collect();
        let replies = keep_requesting(5_000, |number| server.request(&Square(number), doomed_id)).await;
        let meanwhile = keep_requesting(0, |number| server.request(&Square(number), witness_id)).await;
        doomed.kill();
        assert_all_lost(replies, waiting).await;
        assert_eq!(closes.next().await, (doomed_id, CloseCause::PeerClosed.to_string()));
        let error = soon("the error", server.request(&Square(1), doomed_id)).await.unwrap_err();
        assert!(matches!(error, RequestError::Send(SendError::UnknownClient { .. })), "{error:?}");

        let replied =
            meanwhile.filter(|(number, reply)| ready(*reply.as_ref().unwrap() == Squared(number * number)));
        assert_eq!(soon("the other's replies", replied.count()).await as u64, IN_FLIGHT / 2);
        let _another = start(flavour, &["client", text(&path)]);
        let id = connections.next().await;
        assert_eq!(soon("the reply", server.request(&Square(9), id)).await.unwrap(), Squared(81));
        assert_eq!(server.stats().late_replies, 0);
        assert!(closes.rest().is_empty());
        witness.exits_well();
    });
}

fn client_killed_before_its_replies_leaves_nothing_behind(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let before = server.status_once(|status| status.clients == 0);
    for round in 1..=20 {
        let mut client = start(flavour, &["client", text(&path)]);
        client.line_with("connect");
        client.tell("request 5000");
        assert_eq!(client.line(), "requested");
        client.kill();
        assert_eq!(server.line(), format!("connection {round}"));
        assert_eq!(server.line(), format!("close {round} PeerClosed"));
    }
    let after = server.status_once(|status| {
        (status.clients, status.descriptors, status.tasks) == (0, before.descriptors, before.tasks)
    });
    println!("before: {before:?}, after: {after:?}");
    server.exits_well();
}

fn client_killed_its_responders_are_dropped_ten_thousand_times(flavour: &str) {
    const ROUNDS: u64 = 20;
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut witness = start(flavour, &["client", text(&path)]);
    witness.line_with("connect");
    assert_eq!(server.line(), "connection 1");
    let (mut first, before) = (None, server.status_once(|status| status.clients == 1));
    for round in 1..=ROUNDS {
        let mut client = start(flavour, &["client", text(&path)]);
        client.line_with("connect");
        client.tell("waits 500");
        assert_eq!(client.line(), "waiting 500");
        assert_eq!(server.line(), format!("connection {}", round + 1));
        once("500 more responders", || {
            server.tell("waits");
            (server.line() == format!("waits {} {}", 500 * round, 500 * (round - 1))).then_some(())
        });
        client.kill();
        assert_eq!(server.line(), format!("close {} PeerClosed", round + 1));
        // Within a round trip of another client.
        assert_eq!(witness.pings(round), 0);
        server.tell("waits");
        assert_eq!(server.line(), format!("waits {} {}", 500 * round, 500 * round));
        let status = server.status_once(|status| {
            (status.clients, status.descriptors, status.tasks) == (1, before.descriptors, before.tasks)
        });
        // In KiB. What the first rounds leave with the allocator is used again.
        let first = *first.get_or_insert(status.resident);
        assert!(
            status.resident < first + 4096,
            "{} KiB after round {round}, {first} after the first",
            status.resident
        );
    }
    println!("before: {before:?}, after: {:?}", server.status_once(|_| true));
    witness.exits_well();
    server.exits_well();
}
