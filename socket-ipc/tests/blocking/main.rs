//! The blocking client on real sockets: from threads, and from inside runtimes.

// Clippy takes only the test functions for tests, not what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod calls;
mod closing;
mod listeners;
mod runtimes;
mod streams;
mod subscriptions;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ErrorReply, Server, Topic, blocking};
use tokio::runtime::{Builder, Runtime};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "number"]
struct Number(usize);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "text"]
struct Text(String);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "sum"]
struct Sum(i64);

/// A request that gets no reply while its server lives.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = Sum)]
struct Wait;

const ADD: Add = Add { left: 2, right: 3 };

/// How long a wait may take before the test fails. Only a failure reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The deadline of waits that should time out.
const SHORT: Duration = Duration::from_millis(50);

/// Runs a test on a thread of its own, and fails it if it hangs.
fn test(body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let running = thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match ended.recv_timeout(DEADLINE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // It has succeeded or panicked.
        _ => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// The reports of listeners, in their order.
struct Events<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T: Send + 'static> Events<T> {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }

    fn reporter(&self) -> impl Fn(T) + Clone + Send + Sync + 'static {
        let sender = self.sender.clone();
        move |event| drop(sender.send(event))
    }

    fn next(&self) -> T {
        self.receiver.recv_timeout(DEADLINE).unwrap()
    }
}

/// A server on a runtime of its own.
struct Serving {
    server: Server,
    arrivals: Events<()>,
    /// Dropped after the server.
    runtime: Runtime,
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("sipc").tempdir().unwrap();
    let path = directory.path().join("test.sock");
    (directory, path)
}

/// Serves at `path`: adds, doubles, sends error replies, panics, and leaves some requests without a reply.
fn serve(path: &Path) -> Serving {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (server, arrivals) = (Server::new(path), Events::new());
    let arrived = arrivals.reporter();
    server.on_connection(move |_| arrived(()));
    server
        .respond::<Add>(|Add { left, right }, _| left.checked_add(right).map(Sum).ok_or("too much"))
        .unwrap();
    server.respond_async::<Wait>(|Wait, _| std::future::pending::<Sum>()).unwrap();
    server.respond_raw("double", Some("doubled"), |number, _| Ok(2 * number.decode::<i64>()?)).unwrap();
    server.respond_raw("panic", Some(""), |_, _| -> Result<(), ErrorReply> { panic!("on purpose") }).unwrap();
    runtime.block_on(server.listen()).unwrap();
    Serving { server, arrivals, runtime }
}

fn quick(path: &Path) -> socket_ipc::ClientBuilder {
    let delay = Duration::from_millis(10);
    Client::builder(path).retry_delay(delay).reconnect_delay(delay)
}

/// A client that is connected and that the server has accepted.
fn connected(serving: &Serving, path: &Path) -> blocking::Client {
    let client = quick(path).build_blocking();
    client.connect().unwrap();
    serving.arrivals.next();
    client
}

/// A server that sends every number back.
fn serve_echo(path: &Path) -> Serving {
    let serving = serve(path);
    let reply = serving.server.handle();
    serving.server.on::<Number>(move |number, client_id| reply.send(&number, client_id).unwrap());
    serving
}
