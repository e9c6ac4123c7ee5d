//! Nodes of a domain, in one process.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{Cluster, ClusterEvent, ClusterOptions};
use socket_ipc::{Client, EventStream, Server, ServerBuilder, Topic};
use support::nats::Nats;
use support::{Events, Place, soon};
use tokio::sync::Semaphore;

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq, Eq)]
#[topic = "news of/the day.*"]
pub struct News {
    pub number: u64,
    pub text: String,
}

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "divide", reply = i64, error = DivideError)]
pub struct Divide {
    pub dividend: i64,
    pub divisor: i64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Eq)]
pub enum DivideError {
    ByZero { dividend: i64 },
}

/// A request that clients reply to.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "who are you?", reply = String)]
pub struct Who;

/// A request whose responder waits until it is dropped.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "wait", reply = ())]
pub struct Wait;

/// A request that is replied to after this many milliseconds.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "slow", reply = u64)]
pub struct Slow(pub u64);

/// A request that is replied to once the test says so.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "held", reply = u64)]
pub struct Held;

/// The responder to [`Held`]: what it reports, and what lets a reply go.
pub struct Gate {
    pub begun: Events<&'static str>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { begun: Events::new(), open: Arc::new(Semaphore::new(0)) }
    }

    /// Lets a reply go.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    fn responder(&self) -> Box<dyn Fn() -> futures::future::BoxFuture<'static, u64> + Send + Sync> {
        let (report, open) = (self.begun.reporter(), Arc::clone(&self.open));
        Box::new(move || {
            let (report, open) = (report.clone(), Arc::clone(&open));
            Box::pin(async move {
                report("begun");
                open.acquire().await.unwrap().forget();
                5
            })
        })
    }

    /// The gate of a client.
    pub fn of(client: &Client) -> Self {
        let gate = Self::new();
        let respond = gate.responder();
        client.respond_async::<Held>(move |Held| respond()).unwrap();
        gate
    }
}

/// Calls a closure when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

pub fn news(number: u64) -> News {
    News { number, text: format!("news {number}") }
}

/// A server that has joined a domain.
pub struct Node {
    pub server: Server,
    pub cluster: Cluster,
    pub events: EventStream<ClusterEvent>,
    pub place: Place,
}

impl Node {
    pub async fn join(nats: &Nats, name: &str) -> Self {
        Self::with(ClusterOptions::new(nats.url(), "desk").name(name)).await
    }

    pub async fn with(options: ClusterOptions) -> Self {
        let place = Place::new();
        let server = Server::new(place.socket());
        Self::of(place, server, options).await
    }

    async fn of(place: Place, server: Server, options: ClusterOptions) -> Self {
        server.listen().await.unwrap();
        let cluster = soon("joining", Cluster::join(&server, options)).await.unwrap();
        let events = cluster.events();
        Self { server, cluster, events, place }
    }

    /// A node whose server has options of its own.
    pub async fn built(options: ClusterOptions, with: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let place = Place::new();
        let server = with(Server::builder(place.socket())).build();
        Self::of(place, server, options).await
    }

    pub async fn client(&self) -> Client {
        let before = self.server.clients().len();
        let client = Client::new(self.place.socket());
        soon("a connection", client.connect()).await.unwrap();
        // The client may be connected before the server knows it.
        soon("a client of the server", async {
            while self.server.clients().len() == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        client
    }

    /// Waits for an event.
    pub async fn event(&mut self, is_it: impl Fn(&ClusterEvent) -> bool) -> ClusterEvent {
        soon("the event", async {
            loop {
                let event = self.events.next().await.expect("the events have ended");
                if is_it(&event) {
                    return event;
                }
            }
        })
        .await
    }

    /// Waits until this node knows that another one is up and offers these topics.
    pub async fn knows(&self, other: &Self, topics: &[&str]) {
        let offers = |node: &socket_ipc::cluster::Node| {
            node.id == *other.cluster.node()
                && topics.iter().all(|topic| node.offers.iter().any(|offer| offer == topic))
        };
        soon("the other node", async {
            while !self.cluster.nodes().iter().any(offers) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// How many broadcasts of another node did not arrive here.
    pub fn lagged(&self, other: &Self) -> u64 {
        let nodes = self.cluster.nodes();
        nodes.iter().find(|node| node.id == *other.cluster.node()).map_or(0, |node| node.lagged)
    }

    /// Waits until another node has told that it has sent this many broadcasts: the ones that are missing are counted
    /// then.
    pub async fn settled(&self, other: &Self, sent: u64) {
        let is_told = || {
            let nodes = self.cluster.nodes();
            nodes.iter().any(|node| node.id == *other.cluster.node() && node.broadcasts >= sent)
        };
        soon("a beat of the other node", async {
            while !is_told() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Makes this server respond to [`Wait`], and reports when a responder begins and when it is dropped.
    pub fn waits(&self) -> Events<&'static str> {
        let events = Events::new();
        let report = events.reporter();
        let wait = move |Wait, _| {
            let report = report.clone();
            async move {
                report("began");
                let _dropped = OnDrop(move || report("dropped"));
                std::future::pending::<()>().await;
            }
        };
        self.server.respond_async::<Wait>(wait).unwrap();
        self.cluster.offer::<Wait>().unwrap();
        events
    }

    /// Has this server respond to [`Held`], and offers it.
    pub fn holds(&self) -> Gate {
        let gate = Gate::new();
        let respond = gate.responder();
        self.server.respond_async::<Held>(move |Held, _| respond()).unwrap();
        self.cluster.offer::<Held>().unwrap();
        gate
    }

    pub fn responds_slowly(&self) {
        let slow = |Slow(milliseconds), _| async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            milliseconds
        };
        self.server.respond_async::<Slow>(slow).unwrap();
        self.cluster.offer::<Slow>().unwrap();
    }

    pub fn responds_to_divide(&self) {
        let divide = |Divide { dividend, divisor }, _| {
            dividend.checked_div(divisor).ok_or(DivideError::ByZero { dividend })
        };
        self.server.respond::<Divide>(divide).unwrap();
        self.cluster.offer::<Divide>().unwrap();
    }
}
