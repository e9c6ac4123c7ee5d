//! The contract of streams, sentence by sentence: items, ends, windows, and the lines on the wire.

mod ends;
mod hostile;
mod lines;
mod windows;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientBuilder, ReplyStream, RequestError, Server, ServerBuilder, Topic};
use support::{Events, Place, RawPeer, soon};

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

/// A request with a single reply: a round trip.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = u64)]
struct Ping(u64);

/// Numbers from 0.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count {
    to: u64,
}

/// Numbers from 0, and then this error.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "fail", stream = u64, error = Failure)]
struct Fail {
    after: u64,
    with: Failure,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Failure {
    Odd { number: u64 },
    Silent,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the failure {self:?}")
    }
}

/// A stream that never ends, and yields nothing after this many numbers.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = u64)]
struct Follow {
    numbers: u64,
}

fn numbers(to: u64) -> stream::Iter<std::ops::Range<u64>> {
    stream::iter(0..to)
}

/// A server that listens, and a client that is connected to it. Both respond to all requests.
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
    server.respond_stream::<Count>(|Count { to }, _| numbers(to)).unwrap();
    server.respond_stream::<Fail>(|Fail { after, with }, _| failing(after, with)).unwrap();
    server.listen().await.unwrap();
    let client = client(Client::builder(place.socket()).request_timeout(LONG)).build();
    client.respond::<Ping>(|Ping(number)| number).unwrap();
    client.respond_stream::<Count>(|Count { to }| numbers(to)).unwrap();
    client.respond_stream::<Fail>(|Fail { after, with }| failing(after, with)).unwrap();
    client.connect().await.unwrap();
    // The server has the connection by then.
    ping(&client).await;
    (place, server, client)
}

fn failing(after: u64, with: Failure) -> BoxStream<'static, Result<u64, Failure>> {
    numbers(after).map(Ok).chain(stream::once(async { Err(with) })).chain(stream::pending()).boxed()
}

async fn ping(client: &Client) {
    assert_eq!(soon("a round trip", client.request(&Ping(5))).await.unwrap(), 5);
}

async fn next<I, E>(items: &mut ReplyStream<I, E>) -> Option<Result<I, RequestError<E>>> {
    soon("the next item of a stream", items.next()).await
}

/// The items of a stream that ends as it should.
async fn all<I: std::fmt::Debug, E: std::fmt::Debug>(mut items: ReplyStream<I, E>) -> Vec<I> {
    let mut all = Vec::new();
    while let Some(item) = next(&mut items).await {
        all.push(item.unwrap());
    }
    assert!(next(&mut items).await.is_none());
    all
}

/// How a stream fails that yields nothing before. Nothing comes after the error.
async fn failed<I: std::fmt::Debug, E: std::fmt::Debug>(mut items: ReplyStream<I, E>) -> RequestError<E> {
    let error = match next(&mut items).await {
        Some(Err(error)) => error,
        other => panic!("no failure, but {other:?}"),
    };
    assert!(next(&mut items).await.is_none());
    error
}

/// A raw peer of a server.
async fn raw_peer(place: &Place) -> RawPeer {
    RawPeer::connect(place.socket()).await
}

/// A round trip of a raw peer: the server has acted on all lines before it, and nothing else was sent.
async fn raw_ping(peer: &mut RawPeer) {
    peer.write("{\"topic\":\"ping\",\"message\":7,\"id\":\"ping\"}\n").await;
    assert_eq!(peer.line().await, r#"{"topic":"ping","message":7,"re":"ping"}"#);
}

/// Counts how many of its guards have begun and are dropped.
#[derive(Clone, Default)]
struct Guards {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Guards {
    fn guard<S: Stream>(&self, stream: S) -> Guarded<S> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Guarded { stream: Box::pin(stream), dropped: Arc::clone(&self.dropped) }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// A stream that is counted when it is dropped.
struct Guarded<S> {
    stream: Pin<Box<S>>,
    dropped: Arc<AtomicUsize>,
}

impl<S: Stream> Stream for Guarded<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A responder to `Follow` whose streams never end, and hold a guard.
fn follows(server: &Server) -> Guards {
    let guards = Guards::default();
    let held = guards.clone();
    server
        .respond_stream::<Follow>(move |follow, _| {
            held.guard(numbers(follow.numbers).chain(stream::pending()))
        })
        .unwrap();
    guards
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
