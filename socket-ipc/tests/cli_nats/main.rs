//! The command `socket-ipc` over NATS, as whole processes: `nodes`, and `listen`, `send` and `request` with `--nats`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

#[path = "../command/mod.rs"]
mod command;
mod connecting;
mod messages;
#[path = "../command/nats.rs"]
mod nats_server;
mod nodes;
mod streams;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::cluster::ClusterOptions;
use socket_ipc::{Client, ErrorReply, Topic};
use tokio::sync::Semaphore;

use command::{DEADLINE, End, Place, Running, command, on_a_terminal, run, run_with, skip};
use nats_server::{Nats, Node};

/// How long a cancel may take. After 10 s a server gives the request up by itself.
const TOLD: Duration = Duration::from_secs(6);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "text"]
struct Text(u64, String);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "weather"]
struct Weather(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "divide", reply = u64, error = DivideError)]
struct Divide(u64, u64);

#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
#[error("{0} by zero\u{1b}[2J")]
struct DivideError(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

impl Node {
    /// Responds to `divide`, and to `wait` never. Returns what reports that `wait` began and was dropped.
    fn responds(&self) -> Receiver<&'static str> {
        let divide =
            |Divide(dividend, divisor), _| dividend.checked_div(divisor).ok_or(DivideError(dividend));
        self.server.respond::<Divide>(divide).unwrap();
        let (report, reports) = channel();
        let wait = move |Wait, _| {
            let report = report.clone();
            async move {
                report.send("began").unwrap();
                let _dropped = DropReporter(report);
                std::future::pending::<()>().await;
            }
        };
        self.server.respond_async::<Wait>(wait).unwrap();
        self.server.respond_stream::<Count>(|Count, _| futures_util::stream::iter([1, 2])).unwrap();
        let _runtime = self.runtime.enter();
        self.cluster.offer::<(Divide, Wait, Count)>().unwrap();
        reports
    }
}

struct DropReporter(Sender<&'static str>);

impl Drop for DropReporter {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// The command over a NATS server, with variables in its environment.
fn over<const N: usize>(nats: &Nats, variables: &[(&str, &str)], arguments: [&str; N]) -> End {
    let mut command = command(arguments);
    command.args(["--nats", &nats.url()]).envs(variables.iter().copied());
    Running::of(&mut command).end()
}

/// The lines of `nodes`, as JSON.
fn nodes(nats: &Nats) -> Vec<Value> {
    let output = run(["nodes", "--nats", &nats.url(), "jobs", "--timeout", "2.5"]).well();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until what a program prints is what a test expects. A node that was told of something says it with its next beat.
fn until<T: std::fmt::Debug>(look: impl Fn() -> T, is_it: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let seen = look();
        if is_it(&seen) {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "{seen:?}");
    }
}

/// Gives the beats of a node that does not exist, until it is dropped.
struct Beats(tokio::runtime::Runtime);

impl Beats {
    fn give(nats: &Nats, beats: Vec<(&'static str, String)>) -> Self {
        let (url, runtime) = (nats.url(), tokio::runtime::Runtime::new().unwrap());
        runtime.spawn(async move {
            let plain = async_nats::connect(url).await.unwrap();
            let mut often = tokio::time::interval(Duration::from_millis(100));
            loop {
                often.tick().await;
                for (subject, payload) in &beats {
                    plain.publish(*subject, payload.clone().into()).await.unwrap();
                }
            }
        });
        Self(runtime)
    }

    fn end(self) {
        self.0.shutdown_background();
    }
}
