//! A long run of a server with all kinds of clients at once: they come and go, flood, send garbage, stop reading, and
//! vanish in the middle of a message. It ends by itself, with an error if the library broke a promise.
//!
//! ```text
//! cargo run --release --example soak -- --minutes 1 --seed 7
//! ```
//!
//! During the run, both ends check that the numbers on each connection arrive without a gap. At the end, the run checks
//! that every connection was reported to open and to close, and that descriptors, tasks and memory are what they were
//! before. The seed decides what each client does, but not the timing.
//!
//! With `--socket PATH` its server is at that path, and other programs may be clients of it, too.

#[path = "chaos/usage.rs"]
mod usage;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientId, CloseCause, Server, Topic};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use self::usage::Usage;

/// A numbered message of a client.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "count"]
struct Count {
    number: u64,
    text: String,
}

/// A numbered message to all clients.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "tick"]
struct Tick<'m> {
    number: u64,
    #[serde(borrow)]
    text: Cow<'m, str>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many clients there are at a time.
const CLIENTS: u64 = 24;

/// More memory than at the beginning by this much is no leak yet: the allocator keeps freed memory.
const SLACK: usize = 48 * 1024 * 1024;

/// The counts, for the report and the checks.
#[derive(Default)]
struct Tally {
    connections: AtomicU64,
    ends: AtomicU64,
    slow_consumers: AtomicU64,
    received: AtomicU64,
    ticks: AtomicU64,
    message_errors: AtomicU64,
    broken: Mutex<Vec<String>>,
}

impl Tally {
    fn broke(&self, promise: String) {
        eprintln!("{promise}");
        self.broken.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(promise);
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (minutes, seed, socket) = arguments()?;
    let until = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    println!("{minutes} minutes with the seed {seed}");

    let directory = tempfile::tempdir()?;
    let path = socket.unwrap_or_else(|| directory.path().join("soak.sock"));
    let tally = Arc::new(Tally::default());
    let server = serve(&path, &tally).await?;

    // A short run first, so that everything that is made once exists before the measurement.
    crowd(&path, &tally, seed, Instant::now() + Duration::from_secs(3), &server).await?;
    let before = Usage::now()?;
    crowd(&path, &tally, seed.wrapping_add(1), until, &server).await?;
    let after = Usage::now()?;

    server.close().await;
    report(&tally);
    println!("before: {before:?}\nafter:  {after:?}");
    if let Some(leaked) = after.leaked_since(&before, 0) {
        tally.broke(format!("descriptors or tasks leaked: {leaked}"));
    }
    if after.resident > before.resident + SLACK {
        tally.broke("memory leaked".to_owned());
    }
    let (connections, ends) = (&tally.connections, &tally.ends);
    if connections.load(Ordering::Relaxed) != ends.load(Ordering::Relaxed) {
        tally.broke("the reported opens and closes of connections differ in number".to_owned());
    }
    let broken = tally.broken.lock().map_err(|error| error.to_string())?.len();
    if broken > 0 { Err(format!("{broken} promises were broken").into()) } else { Ok(()) }
}

fn arguments() -> Result<(f64, u64, Option<PathBuf>), Failure> {
    let (mut minutes, mut seed, mut socket) = (1.0, fastrand::u64(..), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} takes a value"))?;
        match name.as_str() {
            "--minutes" => minutes = value.parse()?,
            "--seed" => seed = value.parse()?,
            "--socket" => socket = Some(PathBuf::from(value)),
            _ => {
                return Err(format!("unknown argument {name}, expected --minutes, --seed or --socket").into());
            }
        }
    }
    Ok((minutes, seed, socket))
}

/// A server that checks the numbers of its clients, with short timeouts.
async fn serve(path: &Path, tally: &Arc<Tally>) -> Result<Server, Failure> {
    let server = Server::builder(path)
        .write_stall(Duration::from_millis(500))
        .incomplete_timeout(Duration::from_millis(500))
        .outbox_len(256 * 1024)
        // For `socket-ipc top`, at a socket that is given.
        .describe()
        .build();
    let next: Arc<Mutex<HashMap<ClientId, u64>>> = Arc::default();
    let expected = Arc::clone(&next);
    let seen = Arc::clone(tally);
    server.on::<Count>(move |count, client_id| {
        seen.received.fetch_add(1, Ordering::Relaxed);
        let mut expected = expected.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let expected = expected.entry(client_id).or_default();
        if count.number != *expected {
            seen.broke(format!("client {client_id} sent {expected}, but {} arrived", count.number));
        }
        *expected = count.number + 1;
    });
    let seen = Arc::clone(tally);
    server.on_connection(move |_| {
        seen.connections.fetch_add(1, Ordering::Relaxed);
    });
    let seen = Arc::clone(tally);
    server.on_connection_close(move |client_id, reason| {
        seen.ends.fetch_add(1, Ordering::Relaxed);
        if matches!(reason.cause, CloseCause::SlowClient) {
            seen.slow_consumers.fetch_add(1, Ordering::Relaxed);
        }
        next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&client_id);
    });
    let seen = Arc::clone(tally);
    server.on_message_error(move |_, _| {
        seen.message_errors.fetch_add(1, Ordering::Relaxed);
    });
    let seen = Arc::clone(tally);
    server.on_error(move |error| seen.broke(format!("the server reported: {error}")));
    server.listen().await?;
    Ok(server)
}

/// Runs all clients and the broadcasts to them until the given time, and waits until all clients have left.
async fn crowd(
    path: &Path,
    tally: &Arc<Tally>,
    seed: u64,
    until: Instant,
    server: &Server,
) -> Result<(), Failure> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let rng = Rng::with_seed(seed.wrapping_mul(CLIENTS).wrapping_add(number));
        clients.push(tokio::spawn(one_after_the_other(path.to_owned(), Arc::clone(tally), rng, until)));
    }
    let text = "tick ".repeat(20);
    let mut number = 0;
    while Instant::now() < until {
        server.broadcast(&Tick { number, text: Cow::Borrowed(&text) })?;
        number += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for client in clients {
        client.await??;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (own, guests) = own_and_guests(server);
        let open = tally.connections.load(Ordering::Relaxed) - tally.ends.load(Ordering::Relaxed);
        if own == 0 && open == guests {
            break;
        }
        if Instant::now() > deadline {
            tally.broke(format!("{own} clients have not left"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// How many clients are of this process, and how many of others.
fn own_and_guests(server: &Server) -> (u64, u64) {
    let (mut own, mut guests) = (0, 0);
    for client_id in server.clients() {
        let process = server.peer(client_id).and_then(|peer| peer.pid);
        let is_own = process.is_some_and(|process| process.cast_unsigned() == std::process::id());
        let count = if is_own { &mut own } else { &mut guests };
        *count += 1;
    }
    (own, guests)
}

/// Runs one client after the other; each behaves in one of the ways below.
async fn one_after_the_other(
    path: PathBuf,
    tally: Arc<Tally>,
    mut rng: Rng,
    until: Instant,
) -> Result<(), Failure> {
    while Instant::now() < until {
        match rng.u8(..8) {
            0..4 => polite(&path, &tally, &mut rng).await?,
            4 => garbage(&path, &mut rng).await,
            5 => stalled(&path, &mut rng).await,
            6 => cut_off(&path, &mut rng).await,
            _ => vanishing(&path, &tally, &mut rng).await?,
        }
    }
    Ok(())
}

/// Sends numbers, receives ticks, and closes.
async fn polite(path: &Path, tally: &Arc<Tally>, rng: &mut Rng) -> Result<(), Failure> {
    let client = counting(path, tally).await?;
    for number in 0..rng.u64(..2_000) {
        let text = "x".repeat(rng.usize(..200));
        client.send_async(&Count { number, text }).await?;
    }
    // Long enough to receive some ticks, too.
    tokio::time::sleep(Duration::from_millis(rng.u64(..100))).await;
    if rng.bool() {
        client.flush().await?;
    }
    client.close().await;
    Ok(())
}

/// Sends numbers, and is dropped while it sends.
async fn vanishing(path: &Path, tally: &Arc<Tally>, rng: &mut Rng) -> Result<(), Failure> {
    let client = counting(path, tally).await?;
    let messages = rng.u64(..2_000);
    let sending = tokio::spawn(async move {
        for number in 0..messages {
            if client.send_async(&Count { number, text: String::new() }).await.is_err() {
                break;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(rng.u64(..20))).await;
    sending.abort();
    Ok(())
}

/// A client that checks that no tick is missing.
async fn counting(path: &Path, tally: &Arc<Tally>) -> Result<Client, Failure> {
    let client = Client::new(path);
    let last = AtomicU64::new(u64::MAX);
    let seen = Arc::clone(tally);
    client.on::<Tick>(move |tick| {
        seen.ticks.fetch_add(1, Ordering::Relaxed);
        let before = last.swap(tick.number, Ordering::Relaxed);
        if before != u64::MAX && tick.number != before + 1 {
            seen.broke(format!("tick {} came after {before}", tick.number));
        }
    });
    client.connect().await?;
    Ok(client)
}

/// Writes random lines.
async fn garbage(path: &Path, rng: &mut Rng) {
    let Ok(mut stream) = UnixStream::connect(path).await else { return };
    for _ in 0..rng.usize(..50) {
        let len = rng.usize(..300);
        let mut line: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        line.extend(b"\n");
        if stream.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Reads nothing, until it leaves or the server disconnects it.
async fn stalled(path: &Path, rng: &mut Rng) {
    let Ok(stream) = UnixStream::connect(path).await else { return };
    tokio::time::sleep(Duration::from_millis(rng.u64(..3_000))).await;
    drop(stream);
}

/// Leaves in the middle of a message.
async fn cut_off(path: &Path, rng: &mut Rng) {
    let Ok(mut stream) = UnixStream::connect(path).await else { return };
    let message = br#"{"topic":"count","message":{"number":0,"text":"never"}}"#;
    let _ = stream.write_all(&message[..rng.usize(..message.len())]).await;
    if rng.bool() {
        tokio::time::sleep(Duration::from_millis(rng.u64(..1_000))).await;
    }
}

fn report(tally: &Tally) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} connections, {} ended as slow consumers; {} messages and {} ticks received in order; {} message errors",
        count(&tally.connections),
        count(&tally.slow_consumers),
        count(&tally.received),
        count(&tally.ticks),
        count(&tally.message_errors),
    );
}
