//! A domain of three nodes with sixty clients, in which everything happens at once: broadcasts, messages to groups and
//! to single clients, requests, streams; meanwhile nodes and the NATS server are killed, stopped, and started again at
//! random. It ends by itself, with an error if the library broke a promise.
//!
//! ```text
//! cargo run --release --features nats --example chaos -- --minutes 1 --seed 7
//! ```
//!
//! The seed decides the faults and what each program does, but not the timing.
//!
//! Checked are, at each client: that no message comes twice, and none of a node out of order. That what arrives of the
//! broadcasts of another node, and what the own node was told as lost (`Lagged`), are together what was sent, at each
//! beat. The same for the messages to each group (`GroupLagged`), once in each round, when nothing is on its way. That
//! each request ends in time, with its own reply or with an error that a fault explains, and each stream whole, or so.
//! While there is no fault, none fails. That a message to one client comes to that client, and one to a group to its
//! members. That everybody finds everybody again after the faults. And at the end: that descriptors, tasks and memory are what
//! they were before, in the nodes and in the process of the clients.
//!
//! ```text
//!   schedule ─▶ conduct ─▶ processes ─▶ node ─▶ responders, loads     kills, stops, starts
//!                 │                      └▶ sampler ─▶ Sample, Calm ─▶ ledger   what was told as lost
//!                 └▶ client ─▶ calls, ledger ─▶ tally                 what arrived, and how requests ended
//! ```

mod calls;
mod client;
mod conduct;
mod errors;
mod ledger;
mod loads;
mod node;
mod processes;
mod responders;
mod sampler;
mod schedule;
mod tally;
mod topics;
mod usage;

use std::path::Path;

/// What was built without optimisation does a quarter as much, so that one machine can run all of it.
const PAUSES: u64 = if cfg!(debug_assertions) { 4 } else { 1 };

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", index, url, seed, socket] => {
            let index = index.parse()?;
            // Both kinds of runtimes.
            let mut runtime = match index {
                1 => tokio::runtime::Builder::new_current_thread(),
                _ => tokio::runtime::Builder::new_multi_thread(),
            };
            let runtime = runtime.worker_threads(2).enable_all().build()?;
            let ended = runtime.block_on(node::run(index, Path::new(socket), url, seed.parse()?));
            // The thread that reads the input may still be waiting for some.
            runtime.shutdown_background();
            ended
        }
        options => {
            let (minutes, seed) = read(options)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(conduct::run(minutes, seed))
        }
    }
}

fn read(options: &[&str]) -> Result<(f64, u64), Failure> {
    let (mut minutes, mut seed) = (1.0, fastrand::u64(..));
    let mut options = options.iter();
    while let Some(name) = options.next() {
        let value = options.next().ok_or_else(|| format!("{name} takes a number"))?;
        match *name {
            "--minutes" => minutes = value.parse()?,
            "--seed" => seed = value.parse()?,
            _ => return Err(format!("unknown argument {name}, expected --minutes or --seed").into()),
        }
    }
    Ok((minutes, seed))
}
