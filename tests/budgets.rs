//! Thousands of clients that each take as much of a server as they can, and what other clients notice.
//!
//! The tests take minutes and need an idle machine: `cargo test --release --test budgets -- --ignored`, part of
//! `.ci/long`.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket_ipc::limits::{INBOX_TOTAL_LEN, MAX_CLIENTS, MESSAGE_LEN, OUTBOX_TOTAL_LEN};
use support::Place;
use support::process::{PING, Peer, command, text};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One crowd at a time: two would slow each other.
static ALONE: Mutex<()> = Mutex::new(());

/// How long the memory of a crowd may stay after the crowd has left.
const MINUTE: Duration = Duration::from_secs(60);

/// What a connection may hold beside the budgets: a chunk of received bytes, one of requests, and its own state.
const CHUNKS: usize = 2 * 64 * KIB + 4 * KIB;

support::whole_processes! {
    server_4096_unfinished_messages_still_serves_small_and_long_ones,
    server_4096_greedy_clients_stays_within_budgets_and_serves_others,
}

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(limit.maximum.is_none_or(|files| files >= 6_000), "the hard limit of open files is {limit:?}");
    // The documented ways to give back the memory of a peak: another allocator, or a setting of glibc's.
    let mut command = command(PEER, flavour, arguments);
    match jemalloc() {
        Some(library) => command.env("LD_PRELOAD", library).env("MALLOC_CONF", "background_thread:true"),
        None => command.env("MALLOC_MMAP_THRESHOLD_", "65536"),
    };
    Peer::of(&mut command)
}

/// The shared library of jemalloc, where it is installed.
fn jemalloc() -> Option<PathBuf> {
    let directories = std::fs::read_dir("/usr/lib").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    directories.map(|directory| directory.join("libjemalloc.so.2")).find(|library| library.is_file())
}

/// A message of `len` bytes without the last one.
fn unfinished(len: usize) -> Arc<[u8]> {
    let (before, after) = (r#"{"topic":"blob","message":""#, "\"");
    let filler = "x".repeat(len - 1 - before.len() - after.len());
    [before, &filler, after].concat().into_bytes().into()
}

/// Connections that write as fast as the server reads, and read nothing.
struct Crowd {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// `writes` gives the bytes that the connection of each number writes.
    fn new(path: &Path, count: usize, writes: impl Fn(usize) -> Arc<[u8]>) -> Self {
        let mut streams: Vec<_> = (0..count)
            .map(|number| {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_nonblocking(true).unwrap();
                (stream, writes(number), 0)
            })
            .collect();
        let (stop, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let threads = std::iter::from_fn(|| {
            let part = streams.split_off(streams.len() - streams.len().min(count / 2));
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            (!part.is_empty()).then(|| std::thread::spawn(move || write_all(part, &stop, &written)))
        });
        Self { threads: threads.collect(), stop, written }
    }

    /// Waits until the server reads nothing for a moment, for at most 5 seconds.
    fn settle(&self) {
        let (start_time, mut before) = (Instant::now(), u64::MAX);
        while before != self.written.load(Ordering::Relaxed) && start_time.elapsed() < Duration::from_secs(5)
        {
            before = self.written.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn leave(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn write_all(mut streams: Vec<(UnixStream, Arc<[u8]>, usize)>, stop: &AtomicBool, written: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let mut progressed = false;
        streams.retain_mut(|(stream, bytes, at)| match stream.write(&bytes[*at..]) {
            Ok(count) => {
                *at += count;
                progressed |= count > 0;
                written.fetch_add(count as u64, Ordering::Relaxed);
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        if !progressed {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A well-behaved client beside the crowd.
struct OtherClient(UnixStream);

impl OtherClient {
    fn new(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(stream)
    }

    /// How long the server takes to reply to a ping after these bytes.
    fn round_trip(&mut self, bytes: &[u8]) -> Duration {
        let start_time = Instant::now();
        self.0.write_all(bytes).unwrap();
        self.0.write_all(PING).unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\n") {
            let mut buffer = [0; 256];
            let count = self.0.read(&mut buffer).unwrap();
            assert!(count > 0, "the server has closed the connection");
            reply.extend_from_slice(&buffer[..count]);
        }
        start_time.elapsed()
    }

    /// The median of some round trips.
    fn median(&mut self) -> Duration {
        let mut times: Vec<_> = (0..51).map(|_| self.round_trip(b"")).collect();
        times.sort();
        times[25]
    }
}

fn long_message() -> Vec<u8> {
    let mut message = br#"{"topic":"blob","message":""#.to_vec();
    message.resize(MIB - 3, b'x');
    message.extend_from_slice(b"\"}\n");
    message
}

fn server_4096_unfinished_messages_still_serves_small_and_long_ones(flavour: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut other_client = OtherClient::new(&path);
    server.line_with("connection");
    let idle = server.status_once(|status| status.clients == 1).resident;
    // Together they fill the budget.
    let message = unfinished(64 * KIB + INBOX_TOTAL_LEN / MAX_CLIENTS);
    let crowd = Crowd::new(&path, MAX_CLIENTS - 2, |_| Arc::clone(&message));
    crowd.settle();
    let (mut medians, mut long, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..5 {
        medians.push(other_client.median());
        long.push(other_client.round_trip(&long_message()));
        peak = peak.max(server.status_once(|_| true).resident);
    }
    crowd.leave();
    println!("{flavour}: small {medians:?}, long {long:?}, {idle} KiB, then {peak} KiB");
    assert!(medians.iter().all(|median| *median < Duration::from_millis(100)), "{medians:?}");
    long.sort();
    assert!(long[2] < Duration::from_secs(5) && long[4] < Duration::from_secs(20), "{long:?}");
    let most = INBOX_TOTAL_LEN + 2 * MESSAGE_LEN + MAX_CLIENTS * CHUNKS;
    assert!(peak < idle + (most / KIB) as u64, "{peak} KiB");
    server.status_within(MINUTE, |status| status.clients == 1 && status.resident < idle + 64 * KIB as u64);
    server.exits_well();
}

fn server_4096_greedy_clients_stays_within_budgets_and_serves_others(flavour: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut other_client = OtherClient::new(&path);
    server.line_with("connection");
    let before = server.status_once(|status| status.clients == 1);
    let idle = before.resident;
    let (wait, padding) =
        (r#"{"topic":"wait","message":null,"id":1}"#.to_owned() + "\n", "x".repeat(100 * KIB));
    let padded = format!(r#"{{"topic":"wait","message":null,"padding":"{padding}","id":1}}"#) + "\n";
    let text = "x".repeat(40 * KIB);
    let echo = format!(r#"{{"topic":"echo","message":"{text}","id":1}}"#) + "\n";
    let worst: [Arc<[u8]>; 5] = [
        unfinished(MESSAGE_LEN),
        // As many requests as may run, and behind them more than is read ahead.
        (wait.repeat(1_024) + &padded.repeat(20)).into_bytes().into(),
        // The same with nothing behind.
        wait.repeat(1_024).into_bytes().into(),
        // Long requests, whose responders never end.
        padded.repeat(40).into_bytes().into(),
        // Requests whose replies are never read.
        echo.repeat(40).into_bytes().into(),
    ];
    let crowd = Crowd::new(&path, MAX_CLIENTS - 2, |number| Arc::clone(&worst[number % worst.len()]));
    let (mut times, mut peak) = (Vec::new(), 0);
    while times.len() < 20 {
        times.push(other_client.median());
        peak = peak.max(server.status_once(|_| true).resident);
    }
    crowd.settle();
    peak = peak.max(server.status_once(|_| true).resident);
    crowd.leave();
    times.sort();
    println!("{flavour}: small {times:?}, {idle} KiB, then {peak} KiB");
    assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
    let most = INBOX_TOTAL_LEN + 2 * MESSAGE_LEN + OUTBOX_TOTAL_LEN + MAX_CLIENTS * (CHUNKS + 64 * KIB);
    assert!(peak < idle + (most / KIB) as u64, "{peak} KiB");
    let after = server.status_within(MINUTE, |status| (status.clients, status.tasks) == (1, before.tasks));
    println!("{flavour}: {} KiB once they have left", after.resident);
    if jemalloc().is_some() {
        let after = server.status_within(MINUTE, |status| status.resident < idle + 64 * KIB as u64);
        println!("{flavour}: {} KiB within a minute", after.resident);
    } else {
        // The small pieces stay with glibc, which gives back only what is free at the end of its heaps.
        support::skip("budgets", "libjemalloc.so.2 is not here: what glibc keeps is not looked at");
    }
    server.exits_well();
}
