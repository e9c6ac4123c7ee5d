//! Programs that want the same socket file: servers that race for it, start over and over, and one that has no access.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use socket_ipc::{Client, Server};
use tokio::io::{BufReader, Lines, Stdin};

use super::{Ping, Pong, Result, say};

/// The line `race` tries to listen, `reach` pings the listening server, `stop` drops the server.
pub(super) async fn racer(path: &str, mut input: Lines<BufReader<Stdin>>) -> Result {
    let mut server = None;
    while let Some(line) = input.next_line().await? {
        match line.as_str() {
            "race" => {
                let starting = Server::new(path);
                let reply = starting.handle();
                starting.on::<Ping>(move |_, id| {
                    reply.send(&Pong(std::process::id().into()), id).unwrap_or_else(say);
                });
                match starting.listen().await {
                    Ok(()) => {
                        server = Some(starting);
                        say(format_args!("won {}", std::process::id()));
                    }
                    Err(error) => say(format_args!("lost {error}")),
                }
            }
            "reach" => {
                let client = Client::new(path);
                let mut replies = client.subscribe::<Pong>();
                client.connect().await?;
                client.send(&Ping(0))?;
                let Pong(winner) = replies.next().await.ok_or("no reply")?;
                say(format_args!("reached {winner}"));
            }
            "stop" => {
                drop(server.take());
                say("stopped");
            }
            _ => return Err(format!("unknown line: {line}").into()),
        }
    }
    Ok(())
}

/// Starts and stops a server over and over, for its own user only; prints connections and messages.
pub(super) async fn starts(path: &str, count: u32, mode: u32) -> Result {
    rustix::process::umask(rustix::fs::Mode::empty());
    let others_may_connect = mode & 0o006 == 0o006;
    let turned_away = Arc::new(AtomicU64::new(0));
    for _ in 0..count {
        let server = Server::builder(path).mode(mode).same_user_only().build();
        let (report_error, mut errors) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::clone(&turned_away);
        server.on_error(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = report_error.send(());
        });
        server.on_connection(|id| say(format_args!("let in {id}")));
        server.on_message(|message, topic, _| say(format_args!("received {topic} {message}")));
        server.listen().await?;
        if others_may_connect {
            errors.recv().await;
        }
        server.broadcast(&Pong(0))?;
        server.close().await;
    }
    say(format_args!("done, turned away {}", turned_away.load(Ordering::Relaxed)));
    Ok(())
}

/// Tries to connect, to write and to read until its input ends, and prints the counts of the outcomes.
pub(super) async fn intruder(path: &str, mut input: Lines<BufReader<Stdin>>) -> Result {
    let (mut denied, mut absent, mut connected, mut received) = (0u64, 0u64, 0u64, 0u64);
    say("trying");
    let attempts = async {
        loop {
            match UnixStream::connect(path) {
                Ok(mut stream) => {
                    connected += 1;
                    let _ = stream.write_all(b"{\"topic\":\"ping\",\"message\":1}\n");
                    let mut bytes = Vec::new();
                    // Until the server closes or resets the connection.
                    let _ = stream.read_to_end(&mut bytes);
                    received += bytes.len() as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => denied += 1,
                Err(_) => absent += 1,
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = attempts => {}
        _ = input.next_line() => {}
    }
    say(format_args!("denied {denied} absent {absent} connected {connected} received {received}"));
    Ok(())
}
