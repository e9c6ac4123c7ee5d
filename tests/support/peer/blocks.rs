//! Servers that send large blocks to all clients, paced by them or not.

use serde_json::value::RawValue;
use socket_ipc::Server;
use tokio::io::{BufReader, Lines, Stdin};

use super::{Block, Prepared, Result, resident, say};

/// Sends every block to all clients once `clients` are connected, paced by the slowest.
pub(super) async fn flood(
    path: &str,
    clients: usize,
    blocks: u64,
    len: usize,
    mut input: Lines<BufReader<Stdin>>,
) -> Result {
    let server = Server::new(path);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection(move |id| {
        let _ = arrived.send(id);
    });
    server.on_connection_close(|id, reason| {
        let cause = &reason.cause;
        say(format_args!("close {id} {cause:?} {} {}", reason.unsent_messages, reason.unsent_bytes));
    });
    server.listen().await?;
    say("listening");
    for _ in 0..clients {
        arrivals.recv().await;
    }
    say("complete");
    input.next_line().await?;
    let baseline = resident();
    let text = "x".repeat(len);
    let mut peak = 0;
    for number in 0..blocks {
        server.broadcast_async(&Block { number, text: &text }).await?;
        peak = peak.max(resident());
    }
    say(format_args!("sent resident {baseline} then {peak}"));
    while input.next_line().await?.is_some() {}
    server.close().await;
    Ok(())
}

/// Sends every block to the connected clients once `clients` have connected, without waiting for them. Each line of the
/// input prints the resident memory.
pub(super) async fn blast(
    path: &str,
    clients: usize,
    blocks: u64,
    len: usize,
    mut input: Lines<BufReader<Stdin>>,
) -> Result {
    let server = Server::new(path);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let (left, mut departures) = tokio::sync::mpsc::unbounded_channel();
    server.on_connection(move |id| {
        let _ = arrived.send(id);
    });
    server.on_connection_close(move |id, reason| {
        say(format_args!("close {:?}", reason.cause));
        let _ = left.send(id);
    });
    server.listen().await?;
    say("listening");
    for _ in 0..clients {
        arrivals.recv().await;
    }
    let baseline = resident();
    let text = RawValue::from_string(format!("\"{}\"", "x".repeat(len)))?;
    let (mut peak, mut reached) = (0, 0);
    for number in 0..blocks {
        reached += server.broadcast(&Prepared { number, text: &text })?;
        if number % 64 == 0 {
            peak = peak.max(resident());
            tokio::task::yield_now().await;
        }
    }
    say("complete");
    while !server.clients().is_empty() {
        departures.recv().await;
    }
    say(format_args!("sent {reached} resident {baseline} then {peak}"));
    while input.next_line().await?.is_some() {
        say(format_args!("resident {}", resident()));
    }
    server.close().await;
    Ok(())
}
