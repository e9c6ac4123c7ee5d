//! A loop on tokio that is written for these works alone: it shows what a program reaches without limits, errors,
//! further listeners and reconnecting. It has a byte buffer behind a mutex, scans the beginning of each line, and
//! decodes the line in one pass.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, oneshot};

use super::{Done, Endpoint};
use crate::work::{Checksum, Outcome, Small, Text, Work, say_ready};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What is read at once, and the number of queued bytes from which a sender waits.
const CHUNK: usize = 64 * 1024;

/// What a connection has to write.
#[derive(Default)]
struct Outbox {
    queue: Mutex<Queue>,
    taken: Notify,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// The task of the connection, while it sleeps with nothing to write.
    task: Option<Waker>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder panics")
    }

    /// Queues a line, and returns how many bytes are queued.
    fn push(&self, line: &[u8]) -> usize {
        let mut queue = self.lock();
        queue.bytes.extend_from_slice(line);
        let (len, task) = (queue.bytes.len(), queue.task.take());
        drop(queue);
        if let Some(task) = task {
            task.wake();
        }
        len
    }

    /// Queues a message.
    fn send(&self, topic: &str, message: &impl Serialize) -> usize {
        encoded(topic, message, "", |line| self.push(line))
    }

    /// Waits until the queued bytes are taken, if they are many.
    async fn pace(&self, queued: usize) {
        if queued > CHUNK {
            self.taken.notified().await;
        }
    }
}

/// Calls `then` with a message as a line. `tail` is written behind the message.
fn encoded<R>(topic: &str, message: &impl Serialize, tail: &str, then: impl FnOnce(&[u8]) -> R) -> R {
    thread_local!(static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
    let mut line = SCRATCH.take();
    line.clear();
    for part in ["{\"topic\":\"", topic, "\",\"message\":"] {
        line.extend_from_slice(part.as_bytes());
    }
    serde_json::to_writer(&mut line, message).expect("these messages have a JSON form");
    line.extend_from_slice(tail.as_bytes());
    line.extend_from_slice(b"}\n");
    let result = then(&line);
    SCRATCH.set(line);
    result
}

/// The text of the message in a line of this topic, and what is behind it.
fn message<'l>(line: &'l [u8], topic: &str) -> Result<&'l str, Failed> {
    let rest = std::str::from_utf8(line)?.strip_prefix("{\"topic\":\"");
    let rest =
        rest.and_then(|rest| rest.strip_prefix(topic)?.strip_prefix("\",\"message\":")?.strip_suffix('}'));
    rest.ok_or_else(|| format!("a line of another topic than {topic}").into())
}

fn decoded<'l, M: Deserialize<'l>>(line: &'l [u8], topic: &str) -> Result<M, Failed> {
    Ok(serde_json::from_str(message(line, topic)?)?)
}

/// The message of a request or of a reply, and the id under `key`.
fn numbered(line: &[u8], topic: &str, key: &str) -> Result<(Small, u64), Failed> {
    let (message, number) = message(line, topic)?.rsplit_once(key).ok_or("a line without a number")?;
    Ok((serde_json::from_str(message)?, number.parse()?))
}

/// Starts the task of a connection: it writes what is queued, and calls `receive` with each line that arrives.
fn start(stream: UnixStream, outbox: &Arc<Outbox>, receive: impl FnMut(&[u8]) -> Done + Send + 'static) {
    let outbox = Arc::clone(outbox);
    tokio::spawn(async move {
        if let Err(error) = run(stream, &outbox, receive).await {
            eprintln!("a connection failed: {error}");
        }
    });
}

async fn run(mut stream: UnixStream, outbox: &Outbox, mut receive: impl FnMut(&[u8]) -> Done) -> Done {
    let (mut writing, mut written) = (Vec::new(), 0);
    let (mut input, mut searched) = (Vec::new(), 0);
    poll_fn(move |cx| {
        loop {
            if written == writing.len() {
                writing.clear();
                written = 0;
                let mut queue = outbox.lock();
                std::mem::swap(&mut writing, &mut queue.bytes);
                // A line that is queued while this task is awake need not wake it.
                queue.task = None;
                drop(queue);
                if writing.len() > CHUNK {
                    outbox.taken.notify_one();
                }
            }
            let is_blocked = written < writing.len() && {
                let wrote = pin!(stream.write(&writing[written..])).poll(cx)?;
                wrote.map(|count| written += count).is_pending()
            };
            input.reserve(CHUNK);
            match pin!(stream.read_buf(&mut input)).poll(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => {
                    let mut begin = 0;
                    while let Some(len) = memchr::memchr(b'\n', &input[searched..]) {
                        receive(&input[begin..searched + len])?;
                        searched += len + 1;
                        begin = searched;
                    }
                    input.drain(..begin);
                    searched = input.len();
                }
                Poll::Pending if is_blocked => return Poll::Pending,
                Poll::Pending => {
                    let mut queue = outbox.lock();
                    if written == writing.len() && queue.bytes.is_empty() {
                        queue.task = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await
}

async fn connections(endpoint: Endpoint, count: u64, path: &Path) -> Result<Vec<UnixStream>, Failed> {
    let mut streams = Vec::new();
    if endpoint == Endpoint::Client {
        for _ in 0..count {
            streams.push(UnixStream::connect(path).await?);
        }
    } else {
        let listener = UnixListener::bind(path)?;
        say_ready();
        for _ in 0..count {
            streams.push(listener.accept().await?.0);
        }
    }
    Ok(streams)
}

/// What one endpoint does with the messages.
#[derive(Clone, Copy)]
enum Role {
    Echoes,
    Pings,
    /// Sends to all its connections, and receives the sum.
    Sends,
    /// Adds up what all its connections receive, and sends the sum over the last connection that has received
    /// everything.
    AddsUp,
}

pub async fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
    let role = match (work, endpoint) {
        (Work::W2, Endpoint::Server) => Role::Echoes,
        (Work::W2, Endpoint::Client) => Role::Pings,
        (Work::W3, Endpoint::Server) | (_, Endpoint::Client) => Role::Sends,
        _ => Role::AddsUp,
    };
    let streams = connections(endpoint, work.clients(), path).await?;
    let begun = Instant::now();
    let sums = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let mut outboxes = Vec::new();
    for stream in streams {
        let outbox = Arc::new(Outbox::default());
        let (reply, sums) = (Arc::clone(&outbox), Arc::clone(&sums));
        let mut trips = Vec::new();
        let mut sent = begun;
        let receive = move |line: &[u8]| {
            match role {
                Role::Sends => Outcome::since(begun, decoded::<Checksum>(line, "reply")?.sum).say(),
                Role::Echoes => drop(reply.send("bench", &decoded::<Small>(line, "bench")?)),
                Role::Pings => {
                    let message = decoded::<Small>(line, "bench")?;
                    let sum = sums.0.fetch_add(message.adds(), Relaxed) + message.adds();
                    trips.push(sent.elapsed());
                    if message.id + 1 == count {
                        Outcome::of_round_trips(begun, sum, std::mem::take(&mut trips)).say();
                    } else {
                        sent = Instant::now();
                        reply.send("bench", &Small::new(message.id + 1));
                    }
                }
                Role::AddsUp => {
                    let (id, adds) = match work.text_len() {
                        None => decoded::<Small>(line, "bench").map(|small| (small.id, small.adds()))?,
                        Some(_) => decoded::<Text>(line, "text").map(|text| (text.id, text.adds()))?,
                    };
                    let sum = sums.0.fetch_add(adds, Relaxed) + adds;
                    if id + 1 == count && sums.1.fetch_add(1, Relaxed) + 1 == work.clients() {
                        reply.send("reply", &Checksum { sum });
                    }
                }
            }
            Ok(())
        };
        start(stream, &outbox, receive);
        outboxes.push(outbox);
    }
    match role {
        Role::Pings => drop(outboxes[0].send("bench", &Small::new(0))),
        Role::Sends if work == Work::W3 => {
            for id in 0..count {
                for (outbox, queued) in encoded("bench", &Small::new(id), "", |line| {
                    outboxes.iter().map(|outbox| (outbox, outbox.push(line))).collect::<Vec<_>>()
                }) {
                    outbox.pace(queued).await;
                }
            }
        }
        Role::Sends => {
            for outbox in outboxes {
                tokio::spawn(send_all(work, count, outbox));
            }
        }
        Role::Echoes | Role::AddsUp => {}
    }
    std::future::pending().await
}

async fn send_all(work: Work, count: u64, outbox: Arc<Outbox>) {
    let mut text = work.text_len().map(Text::new);
    for id in 0..count {
        let queued = match &mut text {
            None => outbox.send("bench", &Small::new(id)),
            Some(text) => {
                text.id = id;
                outbox.send("text", text)
            }
        };
        outbox.pace(queued).await;
    }
}

/// Replies to requests.
pub async fn respond(path: &Path) -> Done {
    for stream in connections(Endpoint::Server, 1, path).await? {
        let outbox = Arc::new(Outbox::default());
        let reply = Arc::clone(&outbox);
        start(stream, &outbox, move |line| {
            let (message, number) = numbered(line, "ask", ",\"id\":")?;
            encoded("bench", &message, &format!(",\"re\":{number}"), |line| reply.push(line));
            Ok(())
        });
    }
    std::future::pending().await
}

/// Sends requests, and keeps a map from their ids to the requesters that wait.
pub struct Requester {
    outbox: Arc<Outbox>,
    pending: Arc<Mutex<HashMap<u64, oneshot::Sender<Small>>>>,
    next: AtomicU64,
}

impl Requester {
    pub async fn connect(path: &Path) -> Result<Self, Failed> {
        let (outbox, pending) = (Arc::new(Outbox::default()), Arc::<Mutex<HashMap<_, _>>>::default());
        let waiting = Arc::clone(&pending);
        start(UnixStream::connect(path).await?, &outbox, move |line| {
            let (message, number) = numbered(line, "bench", ",\"re\":")?;
            let requester = waiting.lock().expect("no holder panics").remove(&number);
            let requester: oneshot::Sender<Small> = requester.ok_or("a reply to no request")?;
            // A requester that has gone wants no reply.
            let _ = requester.send(message);
            Ok(())
        });
        Ok(Self { outbox, pending, next: AtomicU64::new(1) })
    }

    pub async fn request(&self, message: &Small) -> Result<Small, Failed> {
        let number = self.next.fetch_add(1, Relaxed);
        let (sender, reply) = oneshot::channel();
        self.pending.lock().expect("no holder panics").insert(number, sender);
        encoded("ask", message, &format!(",\"id\":{number}"), |line| self.outbox.push(line));
        Ok(reply.await?)
    }
}
