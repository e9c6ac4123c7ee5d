//! One process of the tests of whole processes: a server, a client or a racer. It reads commands on its standard input,
//! and prints its events on its standard output, a line each.

#[path = "peer/daemon.rs"]
mod daemon;
#[path = "peer/streams.rs"]
mod streams;
#[path = "peer/waits.rs"]
mod waits;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socket_ipc::{Client, Server, Topic};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

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
        ["server", path] => server(with_options(path)?, input).await,
        ["server", path, max_clients] => {
            server(Server::builder(path).max_clients(max_clients.parse()?).build(), input).await
        }
        ["blast", path, clients, blocks, len] => {
            blast(path, clients.parse()?, blocks.parse()?, len.parse()?, input).await
        }
        ["activated"] => {
            let listener = socket_ipc::activated_listener()?.ok_or("no socket was passed")?;
            server(Server::from_listener(listener), input).await
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
            flood(path, clients.parse()?, blocks.parse()?, len.parse()?, input).await
        }
        ["client", path] => client(path, input).await,
        ["daemon", path] => daemon::serve(path).await,
        ["traffic", path, kind, count] => traffic(path, kind, count.parse()?).await,
        ["racer", path] => racer(path, input).await,
        ["starts", path, count, mode] => starts(path, count.parse()?, u32::from_str_radix(mode, 8)?).await,
        ["intruder", path] => intruder(path, input).await,
        _ => Err(format!("unknown arguments: {arguments:?}").into()),
    }
}

/// A server with the options of the environment: `PEER_UMASK` and `PEER_MODE`, octal, `PEER_GROUPS`, whose users may
/// connect, and `PEER_WATCH`, in milliseconds.
fn with_options(path: &str) -> Result<Server> {
    let mut builder = Server::builder(path);
    if let Ok(mask) = std::env::var("PEER_UMASK") {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(u32::from_str_radix(&mask, 8)?));
    }
    if let Ok(mode) = std::env::var("PEER_MODE") {
        builder = builder.mode(u32::from_str_radix(&mode, 8)?);
    }
    if let Ok(groups) = std::env::var("PEER_GROUPS") {
        builder = builder.allow_groups(groups.split(','));
    }
    if let Ok(interval) = std::env::var("PEER_WATCH") {
        builder = builder.watch(Duration::from_millis(interval.parse()?));
    }
    Ok(builder.build())
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

/// Replies to pings and requests, and prints connections and errors. The line `status` prints what the process holds,
/// `peers` the connected peers, `streams` how many streams have begun and were dropped, and `waits` how many responders
/// that never reply. `child` starts a process, `fork` one without `exec` that drops its copy of the server, closes it, or
/// forks twice and drops it. Ends with its input.
async fn server(server: Server, mut input: Lines<BufReader<Stdin>>) -> Result {
    let reply = server.handle();
    server.on::<Ping>(move |Ping(number), id| reply.send(&Pong(number), id).unwrap_or_else(say));
    server.on::<Note>(|Note(_), _| {});
    server.respond_async::<Square>(|request, _| squared(request))?;
    let waits = waits::Counts::default();
    waits.respond(&server)?;
    server.respond_raw("echo", Some("echoed"), |text, _| Ok(text.into_owned()))?;
    let streams = streams::Counts::default();
    streams.respond(&server)?;
    server.on_connection(|id| say(format_args!("connection {id}")));
    server.on_connection_close(|id, reason| say(format_args!("close {id} {:?}", reason.cause)));
    server.on_error(|error| say(format_args!("error {error}")));
    server.on_message_error({
        let errors = AtomicU64::new(0);
        move |_, _| {
            let errors = errors.fetch_add(1, Ordering::Relaxed) + 1;
            if errors.is_multiple_of(100_000) {
                say(format_args!("message errors {errors} resident {}", resident()));
            }
        }
    });
    server.listen().await.inspect_err(|error| eprintln!("{error}"))?;
    say(format_args!("listening resident {}", resident()));
    while let Some(line) = input.next_line().await? {
        match line.as_str() {
            "status" => {
                let clients = server.clients().len();
                let descriptors = std::fs::read_dir("/proc/self/fd")?.count();
                let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
                let resident = resident();
                say(format_args!("status {clients} {descriptors} {tasks} {resident}"));
            }
            "streams" => streams.say(),
            "waits" => waits.say(),
            "peers" => {
                for id in server.clients() {
                    let peer = server.peer(id).ok_or("a client without a peer")?;
                    say(format_args!("peer {id} {peer}"));
                }
            }
            "fork drop" | "fork close" | "fork twice" => match fork::fork()? {
                fork::Fork::Child => {
                    // As a program does that becomes a daemon: the child of the child drops the server.
                    if line == "fork twice"
                        && let fork::Fork::Parent(child) = fork::fork()?
                    {
                        fork::waitpid(child)?;
                        std::process::exit(0);
                    }
                    match line.as_str() {
                        "fork close" => server.close().await,
                        _ => drop(server),
                    }
                    // Tasks that are to end need turns to do so.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    std::process::exit(0);
                }
                fork::Fork::Parent(child) => {
                    fork::waitpid(child)?;
                    say("the child has ended");
                }
            },
            "child" => {
                let mut command = std::process::Command::new("sleep");
                // It may outlive the reader of this process's output.
                command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let child = command.spawn()?;
                say(format_args!("child {}", child.id()));
            }
            _ => return Err(format!("unknown line: {line}").into()),
        }
    }
    server.close().await;
    say("closed");
    Ok(())
}

/// Sends every block to all clients once `clients` are connected, paced by the slowest.
async fn flood(
    path: &str,
    clients: usize,
    blocks: u64,
    len: usize,
    mut input: Lines<BufReader<Stdin>>,
) -> Result {
    let server = Server::new(path);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection(move |id| {
        let _ = arrived.send(id);
    });
    server.on_connection_close(|id, reason| {
        let cause = &reason.cause;
        say(format_args!("close {id} {cause:?} {} {}", reason.unsent_messages, reason.unsent_bytes));
    });
    server.listen().await?;
    say("listening");
    for _ in 0..clients {
        arrivals.recv().await;
    }
    say("complete");
    input.next_line().await?;
    let baseline = resident();
    let text = "x".repeat(len);
    let mut peak = 0;
    for number in 0..blocks {
        server.broadcast_async(&Block { number, text: &text }).await?;
        peak = peak.max(resident());
    }
    say(format_args!("sent resident {baseline} then {peak}"));
    while input.next_line().await?.is_some() {}
    server.close().await;
    Ok(())
}

/// Sends every block to the connected clients once `clients` have connected, without waiting for them. Each line of the
/// input prints the resident memory.
async fn blast(
    path: &str,
    clients: usize,
    blocks: u64,
    len: usize,
    mut input: Lines<BufReader<Stdin>>,
) -> Result {
    let server = Server::new(path);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let (left, mut departures) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection(move |id| {
        let _ = arrived.send(id);
    });
    server.on_connection_close(move |id, reason| {
        say(format_args!("close {:?}", reason.cause));
        let _ = left.send(id);
    });
    server.listen().await?;
    say("listening");
    for _ in 0..clients {
        arrivals.recv().await;
    }
    let baseline = resident();
    let text = RawValue::from_string(format!("\"{}\"", "x".repeat(len)))?;
    let (mut peak, mut reached) = (0, 0);
    for number in 0..blocks {
        reached += server.broadcast(&Prepared { number, text: &text })?;
        if number % 64 == 0 {
            peak = peak.max(resident());
            tokio::task::yield_now().await;
        }
    }
    say("complete");
    while !server.clients().is_empty() {
        departures.recv().await;
    }
    say(format_args!("sent {reached} resident {baseline} then {peak}"));
    while input.next_line().await?.is_some() {
        say(format_args!("resident {}", resident()));
    }
    server.close().await;
    Ok(())
}

/// Connects and reconnects, replies to requests, and prints its events. The line `ping N` sends a ping, `request N`
/// sends N requests and reads no reply, `waits N` sends N that never get one, `streams N` requests N streams and reads
/// none.
async fn client(path: &str, mut input: Lines<BufReader<Stdin>>) -> Result {
    let client = Client::builder(path).retry_delay(Duration::from_millis(20)).max_requests(10_000).build();
    client.on_connect(|| say("connect"));
    client.on_reconnect(|| say("reconnect"));
    client.on_disconnect(|reason| say(format_args!("disconnect {:?}", reason.cause)));
    client.on::<Pong>(|Pong(number)| say(format_args!("pong {number}")));
    client.on::<Block>(|block| say(format_args!("block {} {}", block.number, block.text.len())));
    client.respond_async::<Square>(squared)?;
    waits::respond(&client)?;
    client.connect().await?;
    let (mut unread, mut waiting, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(line) = input.next_line().await? {
        if let Some(count) = line.strip_prefix("streams ") {
            unread.append(&mut streams::request(&client, count.parse()?).await?);
        }
        if let Some(number) = line.strip_prefix("ping ")
            && let Err(error) = client.send(&Ping(number.parse()?))
        {
            say(error);
        }
        if let Some(count) = line.strip_prefix("waits ") {
            waiting.append(&mut waits::request(&client, count.parse()?).await?);
        }
        if let Some(count) = line.strip_prefix("request ") {
            // Kept: a request whose reply nobody waits for is cancelled.
            replies.extend((0..count.parse()?).map(|number| client.request(&Square(number))));
            client.flush().await?;
            say("requested");
        }
    }
    client.close().await;
    Ok(())
}

/// Sends `count` pings, requests or notes to a server: the next ping when the pong of the one before arrives, the next
/// request when its reply has, and the notes as fast as it takes them.
async fn traffic(path: &str, kind: &str, count: u64) -> Result {
    let client = Client::new(path);
    let (again, ended) = (client.handle(), Arc::new(tokio::sync::Notify::new()));
    let end = Arc::clone(&ended);
    client.on::<Pong>(move |Pong(number)| {
        if number == count {
            end.notify_one();
        } else {
            again.send(&Ping(number + 1)).unwrap_or_else(say);
        }
    });
    client.connect().await?;
    let (client, kind) = (Arc::new(client), kind.to_owned());
    let sending = Arc::clone(&client);
    // In a task, as in most programs: on the threads of the runtime.
    tokio::spawn(async move {
        match kind.as_str() {
            "pings" => {
                sending.send(&Ping(1)).unwrap_or_else(say);
                ended.notified().await;
            }
            "notes" => {
                for number in 0..count {
                    sending.send_async(&Note(number)).await.unwrap_or_else(say);
                }
                // Until the server has received them all.
                sending.request_raw("echo", &0).await.map_or_else(say, drop);
            }
            _ => {
                for number in 0..count {
                    sending.request_raw("echo", &number).await.map_or_else(say, drop);
                }
            }
        }
    })
    .await?;
    client.close().await;
    Ok(())
}

/// The line `race` tries to listen, `reach` pings the listening server, `stop` drops the server.
async fn racer(path: &str, mut input: Lines<BufReader<Stdin>>) -> Result {
    let mut server = None;
    while let Some(line) = input.next_line().await? {
        match line.as_str() {
            "race" => {
                let starting = Server::new(path);
                let reply = starting.handle();
                starting.on::<Ping>(move |_, id| {
                    reply.send(&Pong(std::process::id().into()), id).unwrap_or_else(say);
                });
                match starting.listen().await {
                    Ok(()) => {
                        server = Some(starting);
                        say(format_args!("won {}", std::process::id()));
                    }
                    Err(error) => say(format_args!("lost {error}")),
                }
            }
            "reach" => {
                let client = Client::new(path);
                let mut replies = client.subscribe::<Pong>();
                client.connect().await?;
                client.send(&Ping(0))?;
                let Pong(winner) = replies.next().await.ok_or("no reply")?;
                say(format_args!("reached {winner}"));
            }
            "stop" => {
                drop(server.take());
                say("stopped");
            }
            _ => return Err(format!("unknown line: {line}").into()),
        }
    }
    Ok(())
}

/// Starts and stops a server over and over, for its own user only; prints connections and messages.
async fn starts(path: &str, count: u32, mode: u32) -> Result {
    rustix::process::umask(rustix::fs::Mode::empty());
    let others_may_connect = mode & 0o006 == 0o006;
    let turned_away = Arc::new(AtomicU64::new(0));
    for _ in 0..count {
        let server = Server::builder(path).mode(mode).same_user_only().build();
        let (report_error, mut errors) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::clone(&turned_away);
        server.on_error(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = report_error.send(());
        });
        server.on_connection(|id| say(format_args!("let in {id}")));
        server.on_message(|message, topic, _| say(format_args!("received {topic} {message}")));
        server.listen().await?;
        if others_may_connect {
            errors.recv().await;
        }
        server.broadcast(&Pong(0))?;
        server.close().await;
    }
    say(format_args!("done, turned away {}", turned_away.load(Ordering::Relaxed)));
    Ok(())
}

/// Tries to connect, to write and to read until its input ends, and prints the counts of the outcomes.
async fn intruder(path: &str, mut input: Lines<BufReader<Stdin>>) -> Result {
    let (mut denied, mut absent, mut connected, mut received) = (0u64, 0u64, 0u64, 0u64);
    say("trying");
    let attempts = async {
        loop {
            match UnixStream::connect(path) {
                Ok(mut stream) => {
                    connected += 1;
                    let _ = stream.write_all(b"{\"topic\":\"ping\",\"message\":1}\n");
                    let mut bytes = Vec::new();
                    // Until the server closes or resets the connection.
                    let _ = stream.read_to_end(&mut bytes);
                    received += bytes.len() as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => denied += 1,
                Err(_) => absent += 1,
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = attempts => {}
        _ = input.next_line() => {}
    }
    say(format_args!("denied {denied} absent {absent} connected {connected} received {received}"));
    Ok(())
}

/// How much memory this process has resident, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
