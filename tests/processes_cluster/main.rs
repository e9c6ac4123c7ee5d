//! Whole processes of a cluster: nodes and NATS servers that are killed, stopped and continued.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

mod broadcasts;
mod groups;
mod requests;
mod streams;

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
    server: Server,
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
        Self { cluster, events, server, place }
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

/// Kills a node whose client waits for the responder of another one, which has to be dropped in time.
fn requesting_node_killed<W: Future<Output = ()> + Send + 'static>(
    flavour: &str,
    responds: &str,
    forwards: &str,
    waits: impl FnOnce(Client) -> W,
) {
    let Some(nats) = Nats::start() else { return };
    let mut responder = Process::start(&nats, flavour, "responder");
    responder.peer.tell(responds);
    let mut requesting = Process::start(&nats, flavour, "requesting");
    requesting.peer.tell(forwards);
    assert!(responder.peer.line_with("up ").contains(&requesting.node.to_string()));
    run(async {
        let (client, _received) = requesting.client().await;
        let waiting = tokio::spawn(waits(client));
        assert_eq!(responder.peer.line_with("began"), "began");
        let killed = Instant::now();
        requesting.peer.kill();
        assert_eq!(responder.peer.line_with("dropped"), "dropped");
        assert!(killed.elapsed() < Duration::from_millis(3700), "{:?}", killed.elapsed());
        waiting.abort();
    });
}
