//! Whole processes of a cluster: nodes and NATS servers that are killed, stopped and continued.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{Cluster, ClusterEvent, ClusterOptions, NodeId};
use socket_ipc::{Client, EventStream, RequestError, Server, Topic};
use support::nats::Nats;
use support::process::{Peer, command, numbers, text};
use support::{Events, Place, soon, within};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "count"]
struct Count {
    number: u64,
    text: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = u64)]
struct Numbers {
    every: u64,
}

support::whole_processes! {
    node_killed_fails_what_it_had_and_the_next_takes_over,
    requesting_node_killed_drops_the_responder,
    node_killed_or_stopped_loses_its_streams_in_time,
    requesting_node_killed_drops_the_streams_of_its_clients,
    nats_killed_and_restarted_under_streams_leaves_no_gap_untold,
    node_stopped_makes_nobody_wait_and_is_told_how_much_it_missed,
    slow_node_is_cut_off_by_nats_and_is_told_how_much_it_missed,
    nats_killed_and_restarted_under_a_flood_is_counted_exactly,
    nats_stopped_and_continued_loses_nothing_uncounted,
}

/// A node in a process of its own.
struct Process {
    peer: Peer,
    node: NodeId,
    place: Place,
}

impl Process {
    fn start(nats: &Nats, flavour: &str, name: &str) -> Self {
        let place = Place::new();
        let (url, socket) = (nats.url(), place.socket());
        let arguments = [&url, name, text(&socket)];
        let peer = Peer::of(&mut command(env!("CARGO_BIN_EXE_cluster_node"), flavour, &arguments));
        let joined = peer.line_with("joined ");
        let node = joined.strip_prefix("joined ").unwrap().parse().unwrap();
        Self { peer, node, place }
    }

    /// A client of the node, and the numbers that it receives.
    async fn client(&self) -> (Client, Events<u64>) {
        let client = Client::new(self.place.socket());
        let received = Events::new();
        let report = received.reporter();
        client.on::<Count>(move |count| report(count.number));
        soon("a connection", client.connect()).await.unwrap();
        // The kernel connects a client before its server has noticed it, and until then no broadcast is for it.
        let nobody = soon("an error reply", client.request_raw("nobody", &())).await;
        assert!(matches!(nobody, Err(RequestError::NoResponder { .. })), "{nobody:?}");
        (client, received)
    }

    /// Broadcasts of another node that did not arrive, as told up to now.
    fn lagged(&self, so_far: &mut u64) {
        while let Some(line) = self.peer.line_now() {
            if line.starts_with("lagged ") {
                *so_far += numbers(&line)[0];
            }
        }
    }
}

/// A node in this process.
struct Node {
    cluster: Cluster,
    events: EventStream<ClusterEvent>,
    _server: Server,
    place: Place,
}

impl Node {
    async fn join(nats: &Nats, name: &str) -> Self {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let options = ClusterOptions::new(nats.url(), "desk").name(name);
        let cluster = soon("joining", Cluster::join(&server, options)).await.unwrap();
        let events = cluster.events();
        Self { cluster, events, _server: server, place }
    }

    async fn client(&self) -> Client {
        let client = Client::new(self.place.socket());
        soon("a connection", client.connect()).await.unwrap();
        client
    }

    async fn event(&mut self, awaited: ClusterEvent) {
        soon("the event", async { while self.events.next().await.unwrap() != awaited {} }).await;
    }

    async fn knows_offer_of(&self, node: &NodeId) {
        self.knows_offer_of_topic(node, "wait").await;
    }

    async fn knows_offer_of_topic(&self, node: &NodeId, topic: &str) {
        let is_it = |other: &socket_ipc::cluster::Node| other.id == *node && other.offers == [topic];
        soon("the offer", async {
            while !self.cluster.nodes().iter().any(is_it) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Runs a test beside the processes.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(within("the test", Duration::from_secs(120), test));
}

fn is_code(error: &RequestError, code: &str) -> bool {
    matches!(error, RequestError::Rejected { reply, .. } if reply.code() == code)
}

/// Waits until a node in a process has received or counted this many broadcasts. Returns the numbers and the count.
async fn received_or_counted(
    process: &Process,
    received: &mut Events<u64>,
    lagged: &mut u64,
    sent: u64,
) -> Vec<u64> {
    let mut all = Vec::new();
    within("all of them", Duration::from_secs(60), async {
        loop {
            all.append(&mut received.rest());
            process.lagged(lagged);
            if all.len() as u64 + *lagged >= sent {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    all
}

fn assert_exact(received: &[u64], lagged: u64, sent: u64) {
    assert_eq!(received.len() as u64 + lagged, sent, "{lagged} were counted as missing");
    assert!(received.is_sorted_by(|one, next| one < next), "in order, and none twice");
}

fn node_killed_fails_what_it_had_and_the_next_takes_over(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    let mut first = Process::start(&nats, flavour, "first");
    first.peer.tell("respond");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.cluster.forward::<Wait>().unwrap();
        one.knows_offer_of(&first.node).await;
        let client = one.client().await;
        let request = client.request(&Wait);
        assert_eq!(first.peer.line_with("began"), "began");
        let killed = Instant::now();
        first.peer.kill();
        // Nobody has the topic now: a new request fails at once.
        let error = soon("the error", client.request(&Wait)).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error}");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        let error = soon("the error", request).await.unwrap_err();
        assert!(is_code(&error, "lost"), "{error}");
        assert!(killed.elapsed() < Duration::from_millis(3500), "{:?}", killed.elapsed());
        one.event(ClusterEvent::NodeDown(first.node.clone())).await;
        assert!(killed.elapsed() < Duration::from_millis(3700), "{:?}", killed.elapsed());
        let mut second = Process::start(&nats, flavour, "first");
        second.peer.tell("respond");
        one.knows_offer_of(&second.node).await;
        let _request = client.request(&Wait);
        assert_eq!(second.peer.line_with("began"), "began");
    });
}

fn requesting_node_killed_drops_the_responder(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    let mut responder = Process::start(&nats, flavour, "responder");
    responder.peer.tell("respond");
    let mut requesting = Process::start(&nats, flavour, "requesting");
    requesting.peer.tell("forward");
    assert!(responder.peer.line_with("up ").contains(&requesting.node.to_string()));
    run(async {
        let (client, _received) = requesting.client().await;
        // Until the offer has arrived, nobody responds.
        let waiting = tokio::spawn(async move { while client.request(&Wait).await.is_err() {} });
        assert_eq!(responder.peer.line_with("began"), "began");
        let killed = Instant::now();
        requesting.peer.kill();
        assert_eq!(responder.peer.line_with("dropped"), "dropped");
        assert!(killed.elapsed() < Duration::from_millis(3700), "{:?}", killed.elapsed());
        waiting.abort();
    });
}

fn node_killed_or_stopped_loses_its_streams_in_time(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    for signal in [Signal::KILL, Signal::STOP] {
        let mut responder = Process::start(&nats, flavour, "responder");
        responder.peer.tell("stream");
        run(async {
            let one = Node::join(&nats, "one").await;
            one.cluster.forward::<Numbers>().unwrap();
            one.knows_offer_of_topic(&responder.node, "numbers").await;
            let client = one.client().await;
            let mut numbers = client.request_stream(&Numbers { every: 10 });
            for number in 0..5 {
                assert_eq!(soon("a number", numbers.next()).await.unwrap().unwrap(), number);
            }
            responder.peer.signal(signal);
            let ended = Instant::now();
            let error = soon("the error", async {
                loop {
                    if let Err(error) = numbers.next().await.unwrap() {
                        return error;
                    }
                }
            })
            .await;
            assert!(is_code(&error, "lost"), "{error}");
            assert!(ended.elapsed() < Duration::from_millis(3500), "{:?}", ended.elapsed());
            if signal == Signal::STOP {
                responder.peer.signal(Signal::CONT);
                assert_eq!(responder.peer.line_with("dropped"), "dropped");
            }
        });
    }
}

fn requesting_node_killed_drops_the_streams_of_its_clients(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    let mut responder = Process::start(&nats, flavour, "responder");
    responder.peer.tell("stream");
    let mut requesting = Process::start(&nats, flavour, "requesting");
    requesting.peer.tell("forward streams");
    assert!(responder.peer.line_with("up ").contains(&requesting.node.to_string()));
    run(async {
        let (client, _received) = requesting.client().await;
        let reading = tokio::spawn(async move {
            // Until the offer has arrived, nobody responds.
            loop {
                let mut numbers = client.request_stream(&Numbers { every: 10 });
                while let Some(Ok(_)) = numbers.next().await {}
            }
        });
        assert_eq!(responder.peer.line_with("began"), "began");
        let killed = Instant::now();
        requesting.peer.kill();
        assert_eq!(responder.peer.line_with("dropped"), "dropped");
        assert!(killed.elapsed() < Duration::from_millis(3700), "{:?}", killed.elapsed());
        reading.abort();
    });
}

fn nats_killed_and_restarted_under_streams_leaves_no_gap_untold(flavour: &str) {
    let Some(mut nats) = Nats::start() else { return };
    let mut responder = Process::start(&nats, flavour, "responder");
    responder.peer.tell("stream");
    run(async {
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<Numbers>().unwrap();
        one.knows_offer_of_topic(&responder.node, "numbers").await;
        let client = one.client().await;
        for _ in 0..3 {
            let mut streams: Vec<_> = (0..8).map(|_| client.request_stream(&Numbers { every: 0 })).collect();
            for numbers in &mut streams {
                assert_eq!(soon("a number", numbers.next()).await.unwrap().unwrap(), 0);
            }
            let reading: Vec<_> = streams
                .into_iter()
                .map(|mut numbers| {
                    tokio::spawn(async move {
                        let mut expected = 1;
                        loop {
                            match numbers.next().await.unwrap() {
                                Ok(number) => assert_eq!(number, expected),
                                Err(error) => return error,
                            }
                            expected += 1;
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(200)).await;
            nats.kill();
            nats.restart();
            for reading in reading {
                let error = soon("the error", reading).await.unwrap();
                assert!(is_code(&error, "link_down") || is_code(&error, "lost"), "{error}");
            }
            // Nothing of them is left: `began` and `dropped` come in pairs.
            for _ in 0..8 {
                assert_eq!(responder.peer.line_with("dropped"), "dropped");
            }
            soon("a stream again", async {
                loop {
                    let mut numbers = client.request_stream(&Numbers { every: 10 });
                    if let Some(Ok(0)) = numbers.next().await {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            assert_eq!(responder.peer.line_with("dropped"), "dropped");
        }
    });
}

fn node_stopped_makes_nobody_wait_and_is_told_how_much_it_missed(flavour: &str) {
    const COUNT: u64 = 400_000;
    // So that NATS gives it up while it stands still.
    let Some(nats) = Nats::with("write_deadline: \"2s\"\nmax_pending: 8388608") else { return };
    let other = Process::start(&nats, flavour, "other");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        let (_client, mut received) = other.client().await;
        assert!(other.peer.line_with("up ").contains(&one.cluster.node().to_string()));
        one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
        assert_eq!(received.next().await, 0);
        other.peer.signal(Signal::STOP);
        let stopped = Instant::now();
        for number in 1..=COUNT {
            let count = Count { number, text: "x".repeat(200) };
            one.cluster.broadcast_async(&count).await.unwrap();
        }
        assert!(stopped.elapsed() < Duration::from_secs(30), "{:?}", stopped.elapsed());
        one.event(ClusterEvent::NodeDown(other.node.clone())).await;
        other.peer.signal(Signal::CONT);
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        let mut lagged = 0;
        let all = received_or_counted(&other, &mut received, &mut lagged, COUNT).await;
        assert_exact(&all, lagged, COUNT);
        assert!(lagged > 0, "more was broadcast than anything on the way holds");
    });
}

fn slow_node_is_cut_off_by_nats_and_is_told_how_much_it_missed(flavour: &str) {
    const COUNT: u64 = 100_000;
    let Some(nats) = Nats::with("max_payload: 262144\nmax_pending: 262144") else { return };
    let other = Process::start(&nats, flavour, "other");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        let (_client, mut received) = other.client().await;
        other.peer.line_with("up ");
        one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
        assert_eq!(received.next().await, 0);
        other.peer.signal(Signal::STOP);
        for number in 1..=COUNT {
            let count = Count { number, text: "x".repeat(200) };
            one.cluster.broadcast_async(&count).await.unwrap();
            if number == COUNT / 2 {
                nats.line_with("Slow Consumer Detected");
                other.peer.signal(Signal::CONT);
            }
        }
        let mut lagged = 0;
        let all = received_or_counted(&other, &mut received, &mut lagged, COUNT).await;
        assert_exact(&all, lagged, COUNT);
        assert!(lagged > 0 && !all.is_empty(), "{lagged} of {COUNT}");
    });
}

fn nats_killed_and_restarted_under_a_flood_is_counted_exactly(flavour: &str) {
    let Some(mut nats) = Nats::start() else { return };
    let (mut one, other) = (Process::start(&nats, flavour, "one"), Process::start(&nats, flavour, "other"));
    one.peer.line_with("up ");
    other.peer.line_with("up ");
    run(async {
        let (_client, mut received) = other.client().await;
        one.peer.tell("flood 1 10");
        let mut sent = numbers(&one.peer.line_with("flooded "))[0];
        assert_eq!(received.next().await, 1);
        one.peer.tell("flood 50000 100");
        let first = received.take(10_000).await;
        let restarted = Instant::now();
        nats.kill();
        nats.restart();
        // It prints no event before the flood is over.
        sent += numbers(&one.peer.line_with("flooded "))[0];
        one.peer.line_with("LinkUp");
        assert!(restarted.elapsed() < Duration::from_secs(10), "{:?}", restarted.elapsed());
        other.peer.line_with("LinkUp");
        one.peer.tell("flood 1000 100");
        sent += numbers(&one.peer.line_with("flooded "))[0];
        let mut lagged = 0;
        let rest =
            received_or_counted(&other, &mut received, &mut lagged, sent - 1 - first.len() as u64).await;
        assert_exact(&[first, rest].concat(), lagged, sent - 1);
    });
}

fn nats_stopped_and_continued_loses_nothing_uncounted(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    let (mut responder, other) =
        (Process::start(&nats, flavour, "responder"), Process::start(&nats, flavour, "other"));
    responder.peer.tell("respond");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.cluster.forward::<Wait>().unwrap();
        one.knows_offer_of(&responder.node).await;
        let (_far, mut received) = other.client().await;
        other.peer.line_with("up one.");
        one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
        assert_eq!(received.next().await, 0);
        let client = one.client().await;
        let request = client.request(&Wait);
        assert_eq!(responder.peer.line_with("began"), "began");
        nats.signal(Signal::STOP);
        let stopped = Instant::now();
        let mut sent = 0;
        for number in 1..=20_000 {
            let count = Count { number, text: "x".repeat(200) };
            sent += u64::from(one.cluster.broadcast(&count).is_ok());
        }
        assert!(stopped.elapsed() < Duration::from_secs(5), "nobody waits: {:?}", stopped.elapsed());
        let error = soon("the error", request).await.unwrap_err();
        assert!(is_code(&error, "lost"), "{error}");
        assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
        one.event(ClusterEvent::NodeDown(responder.node.clone())).await;
        nats.signal(Signal::CONT);
        one.event(ClusterEvent::NodeUp(responder.node.clone())).await;
        assert_eq!(responder.peer.line_with("dropped"), "dropped");
        let mut lagged = 0;
        let all = received_or_counted(&other, &mut received, &mut lagged, sent).await;
        assert_exact(&all, lagged, sent);
        let error: RequestError =
            client.request(&Wait).timeout(Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, RequestError::Timeout { .. }), "{error}");
    });
}
