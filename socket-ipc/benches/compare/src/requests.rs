//! The cost of a request, compared with the same echo written by hand as a message each way.

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use socket_ipc::{Client, Server, Topic};
use tokio::sync::mpsc;

use crate::run::{Failed, Players, word};
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
}

/// The part of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Server,
    Client,
}

/// A [`Small`] as a request.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "echo", reply = Small)]
struct EchoRequest(Small);

/// Measures each way on both kinds of runtime, in turns, and prints the table.
pub fn compare(count: u64, runs: usize) -> Result<(), Failed> {
    println!(
        "| runtime | an echo | µs | least | most | of by hand, with a channel |\n|---|---|---:|---:|---:|---:|"
    );
    for system in [System::SocketIpc, System::SocketIpcMultiThread] {
        let mut values = [const { Vec::new() }; 3];
        for _ in 0..runs {
            for (way, values) in Way::value_variants().iter().zip(&mut values) {
                values.push(run(system, *way, count)?);
            }
        }
        for values in &mut values {
            values.sort_by(f64::total_cmp);
        }
        let median = |values: &[f64]| values[values.len() / 2];
        let by_hand = median(&values[Way::Channel as usize]);
        for (way, values) in Way::value_variants().iter().zip(&values) {
            println!(
                "| {} | {} | {:.1} | {:.1} | {:.1} | {:.2} |",
                if system == System::SocketIpc { "current thread" } else { "multi thread" },
                match way {
                    Way::Listener => "by hand, in a listener",
                    Way::Channel => "by hand, with a channel",
                    Way::Request => "`request`",
                },
                median(values),
                values[0],
                values[values.len() - 1],
                median(values) / by_hand,
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
    match part {
        Part::Server => serve(path).await,
        Part::Client => request(way, count, path).await,
    }
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
            Way::Request => {
                for id in 0..count {
                    assert_eq!(client.request(&EchoRequest(Small::new(id))).await?.id, id);
                }
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(begun.elapsed().as_secs_f64())
    });
    println!("{}", seconds.await??);
    Ok(())
}
