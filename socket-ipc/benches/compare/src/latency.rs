//! The round trips of one client while others are busy: whether a flood, a broadcast or a crowd delays a quiet client.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use socket_ipc::{Client, Server, Topic};
use tokio::sync::mpsc;

use crate::run::{Failed, Players, word};
use crate::systems::{Done, System};
use crate::work::{Small, say_ready};

/// The longest round trip that is recorded, in nanoseconds. Longer ones count as this long.
const LONGEST: u64 = 60_000_000_000;

/// What the other clients do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Meanwhile {
    Nothing,
    /// Another client sends as fast as it can.
    Flood,
    /// The server broadcasts as fast as 64 others receive it.
    Broadcast,
    /// A thousand other clients are connected and idle.
    Crowd,
}

/// The part of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Server,
    Others,
    Quiet,
}

/// The message of a flood and of a broadcast.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "noise"]
struct Noise {
    id: u64,
    text: String,
}

impl Noise {
    fn new(id: u64) -> Self {
        Self { id, text: "noise".to_owned() }
    }
}

/// Percentiles of the round trips.
#[derive(serde::Serialize, serde::Deserialize)]
struct Trips {
    count: u64,
    /// The median and the percentiles 99 and 99.9, in microseconds.
    within: [f64; 3],
    most: f64,
}

/// Measures each case on both kinds of runtime, and prints the table.
pub fn compare(count: u64) -> Result<(), Failed> {
    println!(
        "| runtime | meanwhile | round trips | p50 | p99 | p99.9 | longest |\n|---|---|---:|---:|---:|---:|---:|"
    );
    for system in [System::SocketIpc, System::SocketIpcMultiThread] {
        for &meanwhile in Meanwhile::value_variants() {
            let place = tempfile::tempdir()?;
            let mut players = Players::new();
            let mut start = |part: Part, count: u64| {
                let arguments =
                    ["part".to_owned(), word(system), word(part), word(meanwhile), count.to_string()];
                players.start_ours(&arguments, &place.path().join("latency.sock"))?;
                players.next()
            };
            start(Part::Server, 0)?;
            if meanwhile != Meanwhile::Nothing {
                start(Part::Others, 0)?;
            }
            let trips: Trips = serde_json::from_str(&start(Part::Quiet, count)?)?;
            let [half, most_of_all, nearly_all] = trips.within;
            println!(
                "| {} | {} | {} | {half:.0} µs | {most_of_all:.0} µs | {nearly_all:.0} µs | {:.0} µs |",
                if system == System::SocketIpc { "current thread" } else { "multi thread" },
                word(meanwhile),
                trips.count,
                trips.most,
            );
        }
    }
    Ok(())
}

pub async fn play(part: Part, meanwhile: Meanwhile, count: u64, path: &Path) -> Done {
    match part {
        Part::Server => serve(meanwhile, path).await,
        Part::Others => others(meanwhile, path).await,
        Part::Quiet => quiet(count, path).await,
    }
}

async fn serve(meanwhile: Meanwhile, path: &Path) -> Done {
    let server = Server::new(path);
    let reply = server.handle();
    server.on::<Small>(move |message, client_id| {
        reply.send(&message, client_id).expect("the requester waits for the echo");
    });
    server.on::<Noise>(|noise, _| drop(std::hint::black_box(noise)));
    server.listen().await?;
    say_ready();
    if meanwhile == Meanwhile::Broadcast {
        for id in 0.. {
            if server.broadcast_async(&Noise::new(id)).await? == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    server.closed().await;
    Ok(())
}

async fn others(meanwhile: Meanwhile, path: &Path) -> Done {
    let many = match meanwhile {
        Meanwhile::Crowd => 1_000,
        Meanwhile::Broadcast => 64,
        Meanwhile::Nothing | Meanwhile::Flood => 1,
    };
    let mut clients = Vec::new();
    for _ in 0..many {
        let client = Client::new(path);
        client.on::<Noise>(|noise| drop(std::hint::black_box(noise)));
        client.connect().await?;
        clients.push(client);
    }
    say_ready();
    if meanwhile == Meanwhile::Flood {
        for id in 0.. {
            clients[0].send_async(&Noise::new(id)).await?;
        }
    }
    std::future::pending().await
}

async fn quiet(count: u64, path: &Path) -> Done {
    let client = Client::new(path);
    client.connect().await?;
    let again = client.handle();
    let (ended, mut end) = mpsc::unbounded_channel();
    let trips = Mutex::new((Instant::now(), Histogram::<u64>::new_with_bounds(1, LONGEST, 3)?));
    client.on::<Small>(move |message| {
        let mut trips = trips.lock().expect("no listener panics");
        let (sent, trips) = &mut *trips;
        trips.saturating_record(sent.elapsed().as_nanos() as u64);
        if message.id == count {
            let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
            let within = [0.5, 0.99, 0.999].map(|share| microseconds(trips.value_at_quantile(share)));
            let _ = ended.send(Trips { count, within, most: microseconds(trips.max()) });
            return;
        }
        *sent = Instant::now();
        again.send(&Small::new(message.id + 1)).expect("the server takes the next");
    });
    client.send(&Small::new(1))?;
    let trips = end.recv().await.ok_or("closed before the last echo")?;
    println!("{}", serde_json::to_string(&trips)?);
    Ok(())
}
