//! Blocking sockets of the standard library: the fastest that the kernel allows, with and without serde_json. There are
//! no limits and no error handling, and clients are served one after the other.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Done, Endpoint};
use crate::work::{Checksum, Outcome, Small, Text, Work, say_ready};

/// The number of bytes that are written and read at once. More gains nothing.
const CHUNK: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Envelope<'t, M> {
    topic: &'t str,
    message: M,
}

pub fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path, json: bool) -> Done {
    match endpoint {
        Endpoint::Server => {
            let listener = UnixListener::bind(path)?;
            say_ready();
            let mut streams = Vec::new();
            for _ in 0..work.clients() {
                streams.push(listener.accept()?.0);
            }
            serve(work, count, streams, json)?;
        }
        Endpoint::Client => {
            let streams: Result<Vec<_>, _> = (0..work.clients()).map(|_| UnixStream::connect(path)).collect();
            client(work, count, streams?, json)?;
        }
    }
    // Stays open until the measuring process has its result.
    loop {
        std::thread::park();
    }
}

fn serve(work: Work, count: u64, mut streams: Vec<UnixStream>, json: bool) -> Done {
    let mut lines = Lines::default();
    match work {
        Work::W2 => echo(count, streams.remove(0), json),
        Work::W3 => {
            let (start, mut batch) = (Instant::now(), Vec::new());
            for id in 0..count {
                put(&mut batch, id, None, json);
                if batch.len() >= CHUNK || id + 1 == count {
                    streams.iter_mut().try_for_each(|stream| stream.write_all(&batch))?;
                    batch.clear();
                }
            }
            let mut sum = 0;
            for stream in &mut streams {
                sum += reply(stream)?;
            }
            Outcome::since(start, sum).say();
            Ok(())
        }
        _ => {
            let (mut stream, mut received, mut sum) = (streams.remove(0), 0, 0);
            while received < count {
                lines.read(&mut stream, |line| {
                    sum += adds(work, received, line, json);
                    received += 1;
                })?;
            }
            say(&mut stream, sum)
        }
    }
}

fn echo(count: u64, mut stream: UnixStream, json: bool) -> Done {
    let (mut lines, mut reply) = (Lines::default(), Vec::new());
    for _ in 0..count {
        reply.clear();
        while reply.is_empty() {
            lines.read(&mut stream, |line| {
                if json {
                    encode(&mut reply, "bench", &decode::<Small>(line));
                } else {
                    reply.extend_from_slice(line);
                    reply.push(b'\n');
                }
            })?;
        }
        stream.write_all(&reply)?;
    }
    Ok(())
}

fn client(work: Work, count: u64, mut streams: Vec<UnixStream>, json: bool) -> Done {
    let mut lines = Lines::default();
    match work {
        Work::W2 => {
            let (mut stream, mut line) = (streams.remove(0), Vec::new());
            let (start, mut sum, mut trips) = (Instant::now(), 0, Vec::with_capacity(count as usize));
            for id in 0..count {
                let sent = Instant::now();
                line.clear();
                put(&mut line, id, None, json);
                stream.write_all(&line)?;
                let before = trips.len();
                while trips.len() == before {
                    lines.read(&mut stream, |line| {
                        sum += adds(work, id, line, json);
                        trips.push(sent.elapsed());
                    })?;
                }
            }
            Outcome::of_round_trips(start, sum, trips).say();
        }
        Work::W3 => {
            // In the order in which the server writes: neither waits for the other.
            let mut each: Vec<_> = streams.iter().map(|_| (Lines::default(), 0, 0)).collect();
            let mut busy: HashSet<_> = (0..streams.len()).collect();
            while !busy.is_empty() {
                for (at, (stream, (lines, received, sum))) in streams.iter_mut().zip(&mut each).enumerate() {
                    if *received < count {
                        lines.read(stream, |line| {
                            *sum += adds(work, *received, line, json);
                            *received += 1;
                        })?;
                        if *received == count {
                            busy.remove(&at);
                            say(stream, *sum)?;
                        }
                    }
                }
            }
        }
        _ => {
            let (mut stream, mut batch) = (streams.remove(0), Vec::new());
            let mut text = work.text_len().map(Text::new);
            let start = Instant::now();
            for id in 0..count {
                put(&mut batch, id, text.as_mut(), json);
                if batch.len() >= CHUNK {
                    stream.write_all(&batch)?;
                    batch.clear();
                }
            }
            stream.write_all(&batch)?;
            let sum = reply(&mut stream)?;
            Outcome::since(start, sum).say();
        }
    }
    Ok(())
}

/// Appends a message; without JSON, bytes of the same length.
fn put(batch: &mut Vec<u8>, id: u64, text: Option<&mut Text>, json: bool) {
    match (text, json) {
        (Some(text), true) => {
            text.id = id;
            encode(batch, "text", text);
        }
        (Some(text), false) => {
            batch.resize(batch.len() + text.text.len(), b'x');
            batch.push(b'\n');
        }
        (None, true) => encode(batch, "bench", &Small::new(id)),
        (None, false) => {
            batch.extend_from_slice(&[b'x'; 79]);
            batch.push(b'\n');
        }
    }
}

/// What a line adds to the sum. Without JSON it adds what the message would have held.
fn adds(work: Work, number: u64, line: &[u8], json: bool) -> u64 {
    match (work.text_len(), json) {
        (None, true) => decode::<Small>(line).adds(),
        (Some(_), true) => decode::<Text>(line).adds(),
        (None, false) => number,
        (Some(_), false) => number + line.len() as u64,
    }
}

fn encode(batch: &mut Vec<u8>, topic: &str, message: &impl Serialize) {
    serde_json::to_writer(&mut *batch, &Envelope { topic, message })
        .expect("these messages have a JSON form");
    batch.push(b'\n');
}

fn decode<'l, M: Deserialize<'l>>(line: &'l [u8]) -> M {
    serde_json::from_slice::<Envelope<'l, M>>(line).expect("only messages are sent").message
}

fn say(stream: &mut UnixStream, sum: u64) -> Done {
    let mut line = Vec::new();
    encode(&mut line, "reply", &Checksum { sum });
    Ok(stream.write_all(&line)?)
}

fn reply(stream: &mut UnixStream) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let (mut lines, mut sum) = (Lines::default(), None);
    while sum.is_none() {
        lines.read(stream, |line| sum = Some(decode::<Checksum>(line).sum))?;
    }
    sum.ok_or_else(|| "no reply".into())
}

/// Reads lines, and searches each byte for a newline only once.
struct Lines {
    buffer: Vec<u8>,
    filled: usize,
    searched: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { buffer: vec![0; CHUNK], filled: 0, searched: 0 }
    }
}

impl Lines {
    /// Reads once, and calls `receive` for each line that is complete.
    fn read(&mut self, stream: &mut UnixStream, mut receive: impl FnMut(&[u8])) -> Done {
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        let count = stream.read(&mut self.buffer[self.filled..])?;
        if count == 0 {
            return Err("closed by the peer".into());
        }
        self.filled += count;
        let mut begin = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..self.filled]) {
            let end = self.searched + end;
            receive(&self.buffer[begin..end]);
            (begin, self.searched) = (end + 1, end + 1);
        }
        self.buffer.copy_within(begin..self.filled, 0);
        self.filled -= begin;
        self.searched = self.filled;
        Ok(())
    }
}
