//! The contract of requests, sentence by sentence: errors of any type, replies without a topic of their own, replies that
//! are sent later, and cancellation.

mod cancel;
mod deferred;
mod errors;
mod hostile;
mod reply_topic;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientBuilder, ClientId, ReplyFuture, RequestError, Server, ServerBuilder, Topic};
use support::{Events, Place, RawPeer, soon};

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

/// A request with an immediate reply: a round trip.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = u64)]
struct Ping(u64);

/// A request whose reply never comes by itself.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "work", reply = u64)]
struct Work(u64);

/// A server that listens, and a client that is connected to it.
async fn connected() -> (Place, Server, Client) {
    connected_with(|server| server, |client| client).await
}

/// The same with options.
async fn connected_with(
    server: impl FnOnce(ServerBuilder) -> ServerBuilder,
    client: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Place, Server, Client) {
    let place = Place::new();
    let server = server(Server::builder(place.socket()).request_timeout(LONG)).build();
    server.respond::<Ping>(|Ping(number), _| number).unwrap();
    server.listen().await.unwrap();
    let client = client(Client::builder(place.socket()).request_timeout(LONG)).build();
    client.respond::<Ping>(|Ping(number)| number).unwrap();
    client.connect().await.unwrap();
    // The server has the connection by then.
    ping(&client).await;
    (place, server, client)
}

async fn ping(client: &Client) {
    assert_eq!(soon("a round trip", client.request(&Ping(5))).await.unwrap(), 5);
}

/// A raw peer of a server, and its id there.
async fn raw_peer(place: &Place, server: &Server) -> (RawPeer, ClientId) {
    let mut ids = Events::new();
    let report = ids.reporter();
    let token = server.on_topic("here", move |_, client_id| report(client_id));
    let mut peer = RawPeer::connect(place.socket()).await;
    peer.write("{\"topic\":\"here\"}\n").await;
    let id = ids.next().await;
    server.off(token);
    (peer, id)
}

/// A round trip of a raw peer: the server has acted on all lines before it, and nothing else was sent.
async fn raw_ping(peer: &mut RawPeer) {
    peer.write("{\"topic\":\"ping\",\"message\":7,\"id\":\"ping\"}\n").await;
    assert_eq!(peer.line().await, r#"{"topic":"ping","message":7,"re":"ping"}"#);
}

/// How a request fails.
async fn failed<R: std::fmt::Debug, E>(reply: ReplyFuture<R, E>) -> RequestError<E> {
    match soon("the failure of a request", reply).await {
        Ok(reply) => panic!("no failure, but {reply:?}"),
        Err(error) => error,
    }
}

/// Counts how many of its guards have begun and are dropped, and how many there were at once.
#[derive(Clone, Default)]
struct Guards(Arc<Counts>);

#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    dropped: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

struct Guard(Guards);

impl Guards {
    fn begin(&self) -> Guard {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(running, Ordering::SeqCst);
        Guard(self.clone())
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// How many there were at once, at most.
    fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Guards(counts) = &self.0;
        counts.running.fetch_sub(1, Ordering::SeqCst);
        counts.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A responder to `Work` that holds a guard and never ends. The events are the numbers of the requests that it was
/// called with.
fn works_for_ever(server: &Server) -> (Guards, Events<u64>) {
    let (guards, begun) = (Guards::default(), Events::new());
    let (held, report) = (guards.clone(), begun.reporter());
    let responder = move |Work(number), _| {
        let guard = held.begin();
        report(number);
        async move {
            let _guard = guard;
            std::future::pending::<u64>().await
        }
    };
    server.respond_async::<Work>(responder).unwrap();
    (guards, begun)
}

/// Waits until `ready`, and fails the test if that takes too long.
async fn until(what: &str, mut ready: impl FnMut() -> bool) {
    soon(what, async {
        while !ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
