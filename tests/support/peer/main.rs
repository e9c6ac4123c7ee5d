//! One process of the tests of whole processes: a server, a client or a racer. It reads commands on its standard input,
//! and prints its events on its standard output, a line each.

mod blocks;
mod client;
mod daemon;
mod server;
mod socket_file;
mod streams;
mod waits;

use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socket_ipc::{Server, Topic};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "ping"]
struct Ping(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "pong"]
struct Pong(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "block"]
struct Block<'m> {
    number: u64,
    text: &'m str,
}

/// A block whose text need not be encoded.
#[derive(Topic, Serialize)]
#[topic = "block"]
struct Prepared<'m> {
    number: u64,
    text: &'m RawValue,
}

/// A message that nobody replies to.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note(u64);

/// A request that is replied to after a while.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "square", reply = Squared)]
struct Square(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "squared"]
struct Squared(u64);

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The runtime is a current-thread one unless `PEER_FLAVOUR` is `multi_thread`. With `PEER_SIGPIPE` set, a write to a
/// pipe without a reader ends the process, as in a program that is not written in Rust. With `PEER_TRACE` set, the
/// standard error gets the traces.
fn main() -> Result {
    if std::env::var_os("PEER_TRACE").is_some() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    }
    if std::env::var_os("PEER_SIGPIPE").is_some() {
        sigpipe::reset();
    }
    let flavour = std::env::var("PEER_FLAVOUR").unwrap_or_default();
    let mut runtime = match flavour.as_str() {
        "multi_thread" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(std::env::args().skip(1).collect()));
    // The thread that reads the input may still be waiting for some.
    runtime.shutdown_background();
    result
}

async fn run(arguments: Vec<String>) -> Result {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", path] => server::server(server::with_options(path)?, input).await,
        ["server", path, max_clients] => {
            server::server(Server::builder(path).max_clients(max_clients.parse()?).build(), input).await
        }
        ["blast", path, clients, blocks, len] => {
            blocks::blast(path, clients.parse()?, blocks.parse()?, len.parse()?, input).await
        }
        ["activated"] => {
            let listener = socket_ipc::activated_listener()?.ok_or("no socket was passed")?;
            server::server(Server::from_listener(listener), input).await
        }
        ["activated all"] => {
            let mut servers = Vec::new();
            for socket in socket_ipc::activated_listeners()? {
                let server = Server::from_listener(socket.listener);
                let (reply, name) = (server.handle(), socket.name.clone());
                server.on_topic("name", move |_, id| reply.send_raw("name", &name, id).unwrap_or_else(say));
                server.listen().await?;
                servers.push(server);
            }
            say(format_args!("listening {}", servers.len()));
            while input.next_line().await?.is_some() {}
            Ok(())
        }
        ["flood", path, clients, blocks, len] => {
            blocks::flood(path, clients.parse()?, blocks.parse()?, len.parse()?, input).await
        }
        ["client", path] => client::client(path, input).await,
        ["daemon", path] => daemon::serve(path).await,
        ["daemon", path, other] => tokio::try_join!(daemon::serve(path), daemon::serve(other)).map(drop),
        ["no signal"] => daemon::waits_for_no_signal().await,
        ["traffic", path, kind, count] => client::traffic(path, kind, count.parse()?).await,
        ["racer", path] => socket_file::racer(path, input).await,
        ["starts", path, count, mode] => {
            socket_file::starts(path, count.parse()?, u32::from_str_radix(mode, 8)?).await
        }
        ["intruder", path] => socket_file::intruder(path, input).await,
        _ => Err(format!("unknown arguments: {arguments:?}").into()),
    }
}

fn say(line: impl std::fmt::Display) {
    let mut output = std::io::stdout().lock();
    // The reader of the output may be gone already.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Replies after up to 2 ms, to several requests in no particular order.
async fn squared(Square(number): Square) -> Squared {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 53;
    tokio::time::sleep(Duration::from_micros(scattered)).await;
    Squared(number * number)
}

/// How much memory this process has resident, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
