//! The cost of a request, compared with the same echo written by hand: as a message each way, and on a loop by hand with a
//! map of numbers.

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use socket_ipc::{Client, Server, Topic};
use tokio::sync::mpsc;

use crate::run::{Failed, Players, word};
use crate::systems::by_hand::{self, Requester};
use crate::systems::{Done, System};
use crate::work::{Small, say_ready};

/// How a client requests an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By hand: a listener sends the next message when the echo arrives.
    Listener,
    /// By hand: a task sends a message, and awaits the echo, which a listener passes on.
    Channel,
    /// A request, and its reply.
    Request,
    /// 64 requests in flight at once.
    Requests,
    /// The two on the loop by hand, which keeps a map of numbers.
    RequestByHand,
    RequestsByHand,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Listener => "by hand, in a listener",
            Self::Channel => "by hand, with a channel",
            Self::Request => "`request`",
            Self::Requests => "`request`, 64 in flight",
            Self::RequestByHand => "the loop by hand with a map",
            Self::RequestsByHand => "the loop by hand with a map, 64 in flight",
        }
    }

    /// What it is compared with.
    fn beside(self) -> Self {
        match self {
            Self::Listener | Self::Channel => Self::Channel,
            Self::Request | Self::RequestByHand => Self::RequestByHand,
            Self::Requests | Self::RequestsByHand => Self::RequestsByHand,
        }
    }
}

/// How many requests are in flight at once, where several are.
pub const IN_FLIGHT: u64 = 64;

/// The part of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Server,
    Client,
}

/// A [`Small`] as a request.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "echo", reply = Small)]
pub struct EchoRequest(pub Small);

/// Measures each way on both kinds of runtime, in turns, and prints the table.
pub fn compare(count: u64, runs: usize) -> Result<(), Failed> {
    println!("| runtime | an echo | µs | least | most | as fast as by hand |\n|---|---|---:|---:|---:|---:|");
    for system in [System::SocketIpc, System::SocketIpcMultiThread] {
        let mut values = [const { Vec::new() }; 6];
        for _ in 0..runs {
            for (way, values) in Way::value_variants().iter().zip(&mut values) {
                values.push(run(system, *way, count)?);
            }
        }
        for values in &mut values {
            values.sort_by(f64::total_cmp);
        }
        let median = |values: &[f64]| values[values.len() / 2];
        let medians: Vec<_> = values.iter().map(|values| median(values)).collect();
        for (way, values) in Way::value_variants().iter().zip(&values) {
            println!(
                "| {} | {} | {:.1} | {:.1} | {:.1} | {:.2} |",
                if system == System::SocketIpc { "current thread" } else { "multi thread" },
                way.name(),
                medians[*way as usize],
                values[0],
                values[values.len() - 1],
                medians[way.beside() as usize] / medians[*way as usize],
            );
        }
    }
    Ok(())
}

/// How long one round trip takes, in microseconds.
fn run(system: System, way: Way, count: u64) -> Result<f64, Failed> {
    let place = tempfile::tempdir()?;
    let mut players = Players::new();
    let mut said = String::new();
    for part in [Part::Server, Part::Client] {
        let arguments = ["request".to_owned(), word(system), word(part), word(way), count.to_string()];
        players.start_ours(&arguments, &place.path().join("requests.sock"))?;
        said = players.next()?;
    }
    Ok(said.parse::<f64>()? * 1e6 / count as f64)
}

pub async fn play(part: Part, way: Way, count: u64, path: &Path) -> Done {
    match (part, way) {
        (Part::Server, Way::RequestByHand | Way::RequestsByHand) => by_hand::respond(path).await,
        (Part::Server, _) => serve(path).await,
        (Part::Client, Way::RequestByHand | Way::RequestsByHand) => request_by_hand(way, count, path).await,
        (Part::Client, _) => request(way, count, path).await,
    }
}

/// Requests `count` echoes, `at_once` of them in flight at a time.
pub async fn in_flight<F>(at_once: u64, count: u64, request: impl Fn(u64) -> F) -> Done
where
    F: Future<Output = Result<Small, Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut echoes: FuturesUnordered<_> = (0..at_once.min(count)).map(&request).collect();
    let (mut next, mut sum) = (at_once.min(count), 0);
    while let Some(echo) = echoes.next().await {
        sum += echo?.id;
        if next < count {
            echoes.push(request(next));
            next += 1;
        }
    }
    assert_eq!(sum, count * count.saturating_sub(1) / 2);
    Ok(())
}

async fn request_by_hand(way: Way, count: u64, path: &Path) -> Done {
    let requester = Requester::connect(path).await?;
    let seconds = tokio::spawn(async move {
        let begun = Instant::now();
        let at_once = if way == Way::RequestsByHand { IN_FLIGHT } else { 1 };
        let requester = &requester;
        in_flight(at_once, count, |id| async move { requester.request(&Small::new(id)).await }).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(begun.elapsed().as_secs_f64())
    });
    println!("{}", seconds.await??);
    Ok(())
}

async fn serve(path: &Path) -> Done {
    let server = Server::new(path);
    let reply = server.handle();
    server.on::<Small>(move |message, client_id| {
        reply.send(&message, client_id).expect("the requester waits for the echo");
    });
    server.respond::<EchoRequest>(|EchoRequest(message), _| message)?;
    server.listen().await?;
    say_ready();
    server.closed().await;
    Ok(())
}

async fn request(way: Way, count: u64, path: &Path) -> Done {
    let client = Client::new(path);
    let (passed_on, mut echoes) = mpsc::unbounded_channel();
    let again = client.handle();
    client.on::<Small>(move |message| {
        if way == Way::Listener && message.id + 1 < count {
            again.send(&Small::new(message.id + 1)).expect("the server takes the next");
        } else {
            // The process ends with the run.
            let _ = passed_on.send(message);
        }
    });
    client.connect().await?;
    // In a task, as in a program: on the threads of the runtime.
    let seconds = tokio::spawn(async move {
        let begun = Instant::now();
        match way {
            Way::Listener => {
                client.send(&Small::new(0))?;
                echoes.recv().await.ok_or("closed before the last echo")?;
            }
            Way::Channel => {
                for id in 0..count {
                    client.send(&Small::new(id))?;
                    let echo = echoes.recv().await.ok_or("closed before the last echo")?;
                    assert_eq!(echo.id, id);
                }
            }
            _ => {
                let at_once = if way == Way::Requests { IN_FLIGHT } else { 1 };
                let client = &client;
                let request = |id| async move { Ok(client.request(&EchoRequest(Small::new(id))).await?) };
                in_flight(at_once, count, request).await?;
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(begun.elapsed().as_secs_f64())
    });
    println!("{}", seconds.await??);
    Ok(())
}
