//! A program without a library: `LinesCodec`, a `Value` that is taken apart by hand, and a task and a channel for each
//! client.

use std::path::Path;
use std::time::Instant;

use futures::{SinkExt, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::codec::{Framed, LinesCodec};

use super::{Done, Endpoint};
use crate::work::{Checksum, Outcome, Small, Text, Work, say_ready};

type Lines = Framed<UnixStream, LinesCodec>;
type Failed = Box<dyn std::error::Error + Send + Sync>;

pub async fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
    match endpoint {
        Endpoint::Server => serve(work, count, UnixListener::bind(path)?).await,
        Endpoint::Client => client(work, count, path).await,
    }
}

fn line(topic: &str, message: impl Serialize) -> Result<String, Failed> {
    Ok(serde_json::to_string(&json!({ "topic": topic, "message": message }))?)
}

async fn send(lines: &mut Lines, topic: &str, message: impl Serialize) -> Done {
    Ok(lines.send(line(topic, message)?).await?)
}

/// The next message: its topic, and what it adds to the sum.
async fn next(lines: &mut Lines) -> Result<(Value, u64, u64), Failed> {
    let line = lines.next().await.ok_or("closed by the peer")??;
    let mut envelope: Value = serde_json::from_str(&line)?;
    let message = envelope["message"].take();
    Ok(match envelope["topic"].as_str() {
        Some("bench") => {
            let small: Small = serde_json::from_value(message.clone())?;
            (message, small.id, small.adds())
        }
        Some("text") => {
            let text: Text = serde_json::from_value(message)?;
            (Value::Null, text.id, text.adds())
        }
        Some("reply") => {
            let reply: Checksum = serde_json::from_value(message)?;
            (Value::Null, 0, reply.sum)
        }
        _ => return Err("a message of an unknown topic".into()),
    })
}

async fn serve(work: Work, count: u64, listener: UnixListener) -> Done {
    say_ready();
    // The task of each client returns the sum of its client.
    let (sums, mut summed) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for _ in 0..work.clients() {
        let mut lines = Framed::new(listener.accept().await?.0, LinesCodec::new());
        let (sender, mut queued) = mpsc::channel::<String>(1024);
        clients.push(sender);
        let sums = sums.clone();
        tokio::spawn(async move {
            match work {
                Work::W2 => loop {
                    let (message, ..) = next(&mut lines).await?;
                    send(&mut lines, "bench", message).await?;
                },
                Work::W3 => {
                    for _ in 0..count {
                        lines.send(queued.recv().await.ok_or("the server has gone")?).await?;
                    }
                    sums.send(next(&mut lines).await?.2)?;
                }
                _ => {
                    let mut sum = 0;
                    for _ in 0..count {
                        sum += next(&mut lines).await?.2;
                    }
                    sums.send(sum)?;
                    lines.send(queued.recv().await.ok_or("the server has gone")?).await?;
                }
            }
            Ok::<_, Failed>(())
        });
    }
    let start = Instant::now();
    if work == Work::W3 {
        for id in 0..count {
            let line = line("bench", Small::new(id))?;
            for client in &clients {
                client.send(line.clone()).await?;
            }
        }
    }
    let mut sum = 0;
    for _ in 0..work.clients() {
        sum += summed.recv().await.ok_or("a client has gone")?;
    }
    if work == Work::W3 {
        Outcome::since(start, sum).say();
    } else {
        let line = line("reply", Checksum { sum })?;
        for client in &clients {
            client.send(line.clone()).await?;
        }
    }
    std::future::pending().await
}

async fn client(work: Work, count: u64, path: &Path) -> Done {
    let mut clients = Vec::new();
    for _ in 0..work.clients() {
        clients.push(Framed::new(UnixStream::connect(path).await?, LinesCodec::new()));
    }
    let start = Instant::now();
    match work {
        Work::W2 => {
            let (mut lines, mut sum, mut trips) = (clients.remove(0), 0, Vec::new());
            for id in 0..count {
                let sent = Instant::now();
                send(&mut lines, "bench", Small::new(id)).await?;
                sum += next(&mut lines).await?.2;
                trips.push(sent.elapsed());
            }
            Outcome::of_round_trips(start, sum, trips).say();
        }
        Work::W3 => {
            let receiving = clients.into_iter().map(|mut lines| {
                tokio::spawn(async move {
                    let mut sum = 0;
                    for _ in 0..count {
                        sum += next(&mut lines).await?.2;
                    }
                    send(&mut lines, "reply", Checksum { sum }).await?;
                    std::future::pending::<Done>().await
                })
            });
            for received in futures::future::join_all(receiving).await {
                received??;
            }
        }
        _ => {
            let text = work.text_len().map(Text::new);
            let sending = clients.into_iter().map(|mut lines| {
                let mut text = text.clone();
                tokio::spawn(async move {
                    for id in 0..count {
                        match &mut text {
                            Some(text) => {
                                text.id = id;
                                send(&mut lines, "text", text).await?;
                            }
                            None => send(&mut lines, "bench", Small::new(id)).await?,
                        }
                    }
                    Ok::<_, Failed>(next(&mut lines).await?.2)
                })
            });
            let mut sum = 0;
            for reply in futures::future::join_all(sending).await {
                sum = reply??;
            }
            Outcome::since(start, sum).say();
        }
    }
    Ok(())
}
