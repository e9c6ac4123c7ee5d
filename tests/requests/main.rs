//! Requests and replies, both ways.

mod backpressure;
mod closing;
mod failures;
mod held_back;
mod limits;
mod lines;
mod replies;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, CloseCause, ErrorReply, MessageErrorKind, RegisterError, RequestError, SendError, Server, Topic,
};
use support::{Events, Place, RawPeer, soon};
use tokio::sync::Semaphore;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum, reply_topic = "sum")]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "sum"]
struct Sum(i64);

/// A request whose reply comes once a test opens the gate.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = Waited)]
struct Wait(u64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "waited"]
struct Waited(u64);

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

const ADD: Add = Add { left: 2, right: 3 };

/// A server, and a client that is connected to it.
async fn connected() -> (Place, Server, Client) {
    let place = Place::new();
    let server = Server::builder(place.socket()).request_timeout(LONG).build();
    server.listen().await.unwrap();
    let client = Client::builder(place.socket()).request_timeout(LONG).build();
    let mut events = Events::new();
    let report = events.reporter();
    let token = server.on_connection(move |_| report(()));
    client.connect().await.unwrap();
    events.next().await;
    server.off(token);
    (place, server, client)
}

/// A responder to `Wait` that sends a reply for each permit of the gate.
fn gated(server: &Server) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&gate);
    let responder = move |Wait(number), _| {
        let closed = Arc::clone(&closed);
        async move {
            closed.acquire().await.unwrap().forget();
            Waited(number)
        }
    };
    server.respond_async::<Wait>(responder).unwrap();
    gate
}

async fn failed<R: std::fmt::Debug, E>(reply: socket_ipc::ReplyFuture<R, E>) -> RequestError
where
    RequestError: From<RequestError<E>>,
{
    soon("the failure of a request", reply).await.expect_err("a failure").into()
}
