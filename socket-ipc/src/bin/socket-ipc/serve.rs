//! `serve`: a server that prints what it receives, and broadcasts standard input.

use std::path::Path;
use std::sync::Arc;

use socket_ipc::{Server, ServerHandle};
use tokio::sync::Notify;

use crate::arguments::Serve;
use crate::failure::{Failure, say};
use crate::json::Envelope;
use crate::lines::Line;
use crate::output::Printer;
use crate::player::Player;
use crate::{description, lines, running};

pub(crate) fn run(arguments: Serve) -> Result<(), Failure> {
    let Serve { place, echo, replay, selection, pretty } = arguments;
    let recording = match replay {
        Some(file) => Some((Player::open(&file, selection, false)?, file)),
        None => None,
    };
    let (printer, broken) = Printer::new();
    let printer = printer.pretty(pretty);
    let server = Server::builder(&place.path).wire(place.wire()).describe().build();
    let replies = server.handle();
    server.on_message(move |message, topic, client_id| {
        // The library itself replies to these topics, so they are not printed.
        if description::is_about_the_server(topic) {
            return;
        }
        printer.message(Some(client_id), topic, &message);
        if echo && let Err(error) = replies.send_raw(topic, &message, client_id) {
            say(error);
        }
    });
    say_what_happens(&server);
    let arrived = Arc::new(Notify::new());
    server.on_connection({
        let arrived = Arc::clone(&arrived);
        move |_| arrived.notify_one()
    });
    let closing = server.handle();
    let work = async move {
        server.listen().await?;
        say(format_args!("listening on {}", place.path.display()));
        let played = async {
            match recording {
                Some((player, file)) => play(&server, player, &file, &arrived).await,
                None => Ok(()),
            }
        };
        let input = async {
            broadcast_input(&server).await;
            Ok(())
        };
        if let Err(failure) = tokio::try_join!(played, input) {
            server.close().await;
            return Err(failure);
        }
        server.closed().await;
        Ok(())
    };
    running::until_told(work, broken, async move { closing.close().await })
}

fn say_what_happens(server: &Server) {
    let peers = server.handle();
    server.on_connection(move |client_id| match peers.peer(client_id) {
        Some(peer) => say(format_args!("client {client_id} connected: {peer}")),
        None => say(format_args!("client {client_id} connected")),
    });
    server.on_connection_close(|client_id, reason| say(format_args!("client {client_id} is gone: {reason}")));
    server.on_message_error(|error, client_id| say(format_args!("client {client_id} sent {error}")));
    server.on_error(|error| say(error));
}

/// Sends each message of a recording to every client, from the moment when the first client is there.
async fn play(
    server: &ServerHandle,
    mut player: Player,
    file: &Path,
    arrived: &Notify,
) -> Result<(), Failure> {
    arrived.notified().await;
    while let Some(entry) = player.next().await? {
        server.broadcast_raw_async(&entry.topic, &*entry.message).await?;
    }
    say(format_args!("played {} messages of {}", player.played(), file.display()));
    Ok(())
}

/// Sends each line of standard input to every client, at the pace of the slowest. A wrong line is reported and skipped.
async fn broadcast_input(server: &ServerHandle) {
    let mut lines = lines::lines();
    let mut sent = true;
    while let Some(line) = lines.recv().await {
        let outcome = match line {
            Ok(line) => broadcast(server, &line).await.map(|clients| (clients, line.number)),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok((0, number)) => {
                // Reported once, until a client is connected again.
                if std::mem::take(&mut sent) {
                    say(format_args!("no client is connected to receive line {number} of standard input"));
                }
            }
            Ok(_) => sent = true,
            // The server goes on; its own end decides the exit status.
            Err(failure) => say(failure),
        }
    }
}

async fn broadcast(server: &ServerHandle, line: &Line) -> Result<usize, Failure> {
    let Envelope { topic, message } = Envelope::parse(&line.text).map_err(|reason| {
        let number = line.number;
        Failure::other(format!(
            "line {number} of standard input is neither `TOPIC JSON` nor an envelope: {reason}"
        ))
    })?;
    Ok(server.broadcast_raw_async(&topic, &*message).await?)
}
