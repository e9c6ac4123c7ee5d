//! The rate of a stream's items, compared with plain messages of the same content, which have no window.

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use socket_ipc::{Client, Server, Topic, limits};
use tokio::sync::mpsc;

use crate::requests::Part;
use crate::run::{Failed, Players, word};
use crate::systems::{Done, System};
use crate::work::{Small, say_ready};

/// How the items come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// As messages, paced by the socket: the same work as W1, from the server to a client.
    Messages,
    /// As the items of a stream, with the default window.
    Stream,
    /// With a window of 1 MiB.
    StreamWide,
    /// With a window of 64 items.
    StreamNarrow,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Stream => "a stream, the default window",
            Self::StreamWide => "a stream, a window of 1 MiB",
            Self::StreamNarrow => "a stream, a window of 64 items",
        }
    }

    fn window(self) -> u64 {
        match self {
            Self::StreamWide => 1024 * 1024,
            // The line of an item takes at most 110 bytes.
            Self::StreamNarrow => 64 * 110,
            Self::Messages | Self::Stream => limits::STREAM_WINDOW,
        }
    }
}

/// Requests this many items.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "items", stream = Small)]
struct Items(u64);

/// Starts this many messages.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "messages"]
struct Messages(u64);

/// Measures each way on both kinds of runtime, in turns, and prints the table.
pub fn compare(count: u64, runs: usize) -> Result<(), Failed> {
    println!(
        "| runtime | items | items/s | least | most | as fast as messages |\n|---|---|---:|---:|---:|---:|"
    );
    for system in [System::SocketIpc, System::SocketIpcMultiThread] {
        let mut values = [const { Vec::new() }; 4];
        for _ in 0..runs {
            for (way, values) in Way::value_variants().iter().zip(&mut values) {
                values.push(run(system, *way, count)?);
            }
        }
        for values in &mut values {
            values.sort_by(f64::total_cmp);
        }
        let medians: Vec<_> = values.iter().map(|values| values[values.len() / 2]).collect();
        for (way, values) in Way::value_variants().iter().zip(&values) {
            println!(
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.2} |",
                if system == System::SocketIpc { "current thread" } else { "multi thread" },
                way.name(),
                medians[*way as usize],
                values[0],
                values[values.len() - 1],
                medians[*way as usize] / medians[0],
            );
        }
    }
    Ok(())
}

/// The items a second.
fn run(system: System, way: Way, count: u64) -> Result<f64, Failed> {
    let place = tempfile::tempdir()?;
    let mut players = Players::new();
    let mut said = String::new();
    for part in [Part::Server, Part::Client] {
        let arguments = ["stream".to_owned(), word(system), word(part), word(way), count.to_string()];
        players.start_ours(&arguments, &place.path().join("streams.sock"))?;
        said = players.next()?;
    }
    Ok(count as f64 / said.parse::<f64>()?)
}

pub async fn play(part: Part, way: Way, count: u64, path: &Path) -> Done {
    match part {
        Part::Server => serve(path).await,
        Part::Client => receive(way, count, path).await,
    }
}

async fn serve(path: &Path) -> Done {
    let server = Server::new(path);
    let sender = server.handle();
    server.on::<Messages>(move |Messages(count), client_id| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for id in 0..count {
                sender.send_async(&Small::new(id), client_id).await.expect("the client waits for all");
            }
        });
    });
    server.respond_stream::<Items>(|Items(count), _| futures::stream::iter((0..count).map(Small::new)))?;
    server.listen().await?;
    say_ready();
    server.closed().await;
    Ok(())
}

async fn receive(way: Way, count: u64, path: &Path) -> Done {
    let client = Client::new(path);
    let (ended, mut end) = mpsc::unbounded_channel();
    let mut sum = 0;
    let sum_of = std::sync::Mutex::new(0);
    client.on::<Small>(move |message| {
        let mut sum = sum_of.lock().expect("no listener panics");
        *sum += message.adds();
        if message.id + 1 == count {
            // The process ends with the run.
            let _ = ended.send(*sum);
        }
    });
    client.connect().await?;
    // In a task, as in a program: on the threads of the runtime.
    let seconds = tokio::spawn(async move {
        let begun = Instant::now();
        if way == Way::Messages {
            client.send(&Messages(count))?;
            sum = end.recv().await.ok_or("closed before the last message")?;
        } else {
            let mut items = client.request_stream(&Items(count)).window(way.window());
            while let Some(item) = items.next().await {
                sum += item?.adds();
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        assert_eq!(sum, (0..count).map(|id| Small::new(id).adds()).sum::<u64>());
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(seconds)
    });
    println!("{}", seconds.await??);
    Ok(())
}
