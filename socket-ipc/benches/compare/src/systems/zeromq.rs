//! ZeroMQ's C library over `ipc://`: PUSH and PULL one way, REQ and REP both ways, PUB and SUB for broadcasts, with
//! serde_json and without a bound on what is queued, so that nothing is dropped.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use zmq::{Context, Socket, SocketType};

use super::{Done, Endpoint};
use crate::work::{Checksum, Outcome, Small, Text, Work, say_ready};

#[derive(Serialize, Deserialize)]
struct Envelope<'t, M> {
    topic: &'t str,
    message: M,
}

fn encode(topic: &str, message: impl Serialize) -> Vec<u8> {
    serde_json::to_vec(&Envelope { topic, message }).expect("these messages have a JSON form")
}

fn decode<'l, M: Deserialize<'l>>(bytes: &'l [u8]) -> serde_json::Result<M> {
    Ok(serde_json::from_slice::<Envelope<'l, M>>(bytes)?.message)
}

/// The sockets of one endpoint; `name` tells the sockets of one path apart.
struct Sockets<'p> {
    context: Context,
    path: &'p Path,
}

impl Sockets<'_> {
    fn open(&self, kind: SocketType, name: &str, bind: bool) -> zmq::Result<Socket> {
        let socket = self.context.socket(kind)?;
        socket.set_sndhwm(0)?;
        socket.set_rcvhwm(0)?;
        if kind == SocketType::SUB {
            socket.set_subscribe(b"")?;
        }
        let address = format!("ipc://{}{name}", self.path.display());
        if bind {
            socket.bind(&address)?
        } else {
            socket.connect(&address)?
        }
        Ok(socket)
    }
}

pub fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
    let context = Context::new();
    let sockets = Sockets { context, path };
    match endpoint {
        Endpoint::Server => serve(work, count, &sockets),
        Endpoint::Client => client(work, count, &sockets),
    }
}

fn serve(work: Work, count: u64, sockets: &Sockets<'_>) -> Done {
    let mut bytes = zmq::Message::new();
    match work {
        Work::W2 => {
            let socket = sockets.open(zmq::REP, "", true)?;
            say_ready();
            for _ in 0..count {
                socket.recv(&mut bytes, 0)?;
                socket.send(encode("bench", decode::<Small>(&bytes)?), 0)?;
            }
        }
        Work::W3 => {
            let (news, replies) =
                (sockets.open(zmq::PUB, "", true)?, sockets.open(zmq::PULL, ".replies", true)?);
            say_ready();
            // A subscriber reports when it receives, because messages that are published earlier are lost.
            let mut here = 0;
            while here < work.clients() {
                news.send(encode("start", ()), 0)?;
                while replies.poll(zmq::POLLIN, 10)? > 0 {
                    replies.recv(&mut bytes, 0)?;
                    here += 1;
                }
            }
            let start = Instant::now();
            for id in 0..count {
                news.send(encode("bench", Small::new(id)), 0)?;
            }
            let mut sum = 0;
            for _ in 0..work.clients() {
                replies.recv(&mut bytes, 0)?;
                sum += decode::<Checksum>(&bytes)?.sum;
            }
            Outcome::since(start, sum).say();
        }
        _ => {
            let (socket, replies) =
                (sockets.open(zmq::PULL, "", true)?, sockets.open(zmq::PUSH, ".replies", true)?);
            say_ready();
            let mut sum = 0;
            for _ in 0..count * work.clients() {
                socket.recv(&mut bytes, 0)?;
                sum += match work.text_len() {
                    Some(_) => decode::<Text>(&bytes)?.adds(),
                    None => decode::<Small>(&bytes)?.adds(),
                };
            }
            replies.send(encode("reply", Checksum { sum }), 0)?;
        }
    }
    loop {
        std::thread::park();
    }
}

fn client(work: Work, count: u64, sockets: &Sockets<'_>) -> Done {
    let mut bytes = zmq::Message::new();
    match work {
        Work::W2 => {
            let socket = sockets.open(zmq::REQ, "", false)?;
            let (start, mut sum, mut trips) = (Instant::now(), 0, Vec::with_capacity(count as usize));
            for id in 0..count {
                let sent = Instant::now();
                socket.send(encode("bench", Small::new(id)), 0)?;
                socket.recv(&mut bytes, 0)?;
                sum += decode::<Small>(&bytes)?.adds();
                trips.push(sent.elapsed());
            }
            Outcome::of_round_trips(start, sum, trips).say();
        }
        Work::W3 => {
            let replies = sockets.open(zmq::PUSH, ".replies", false)?;
            let news: Result<Vec<_>, _> =
                (0..work.clients()).map(|_| sockets.open(zmq::SUB, "", false)).collect();
            let news = news?;
            let mut sums = vec![None; news.len()];
            let mut ended = 0;
            while ended < news.len() {
                let mut items: Vec<_> = news.iter().map(|socket| socket.as_poll_item(zmq::POLLIN)).collect();
                zmq::poll(&mut items, -1)?;
                let ready: Vec<_> = items.iter().map(|item| item.is_readable()).collect();
                for (at, socket) in news.iter().enumerate().filter(|(at, _)| ready[*at]) {
                    // In batches, so that the clients are not polled for each message.
                    for _ in 0..1_000 {
                        match socket.recv(&mut bytes, zmq::DONTWAIT) {
                            Ok(()) => {}
                            Err(zmq::Error::EAGAIN) => break,
                            Err(error) => return Err(error.into()),
                        }
                        if bytes.starts_with(b"{\"topic\":\"start\"") {
                            if sums[at].is_none() {
                                sums[at] = Some(0);
                                replies.send("here", 0)?;
                            }
                            continue;
                        }
                        let (message, sum) = (decode::<Small>(&bytes)?, sums[at].get_or_insert(0));
                        *sum += message.adds();
                        if message.id + 1 == count {
                            ended += 1;
                            replies.send(encode("reply", Checksum { sum: *sum }), 0)?;
                        }
                    }
                }
            }
            std::thread::park();
        }
        _ => {
            let replies = sockets.open(zmq::PULL, ".replies", false)?;
            let clients: Result<Vec<_>, _> =
                (0..work.clients()).map(|_| sockets.open(zmq::PUSH, "", false)).collect();
            let clients = clients?;
            let mut text = work.text_len().map(Text::new);
            let start = Instant::now();
            for id in 0..count {
                for client in &clients {
                    match &mut text {
                        Some(text) => {
                            text.id = id;
                            client.send(encode("text", text), 0)?;
                        }
                        None => client.send(encode("bench", Small::new(id)), 0)?,
                    }
                }
            }
            replies.recv(&mut bytes, 0)?;
            Outcome::since(start, decode::<Checksum>(&bytes)?.sum).say();
        }
    }
    Ok(())
}
