//! A daemon as systemd runs it: it takes the socket that systemd passes, says that it is ready, keeps a quota for each
//! client, lets only its own user clear the notes, and ends in good order on SIGTERM. It runs until then, or until Ctrl-C.
//!
//! ```text
//! cargo run --example daemon -- /tmp/notes.sock
//!
//! echo '{"topic":"add","message":{"text":"buy milk"},"id":1}' | socat -t 5 - UNIX-CONNECT:/tmp/notes.sock
//! ```
//!
//! The handlers have tests in memory, at the end of this file: `cargo test --example daemon`. The units are in
//! `examples/systemd`.

use std::error::Error;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};
use socket_ipc::{Attempt, ErrorReply, RegisterError, Server, ServerHandle, Topic};
use socket_ipc::{activated_listener, shutdown_signal};
use tokio::sync::watch;

/// How many notes a client may add while it is connected.
const QUOTA: usize = 3;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = usize)]
struct Add {
    text: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "notes", reply = Vec<String>)]
struct Notes;

/// Replied to once there are at least this many notes.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = usize)]
struct Wait(usize);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "clear", reply = usize)]
struct Clear;

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // Called before the runtime starts threads, since it removes systemd's variables from the environment.
    let passed = activated_listener()?;
    let path = std::env::args().nth(1).unwrap_or_else(|| "/run/notes/notes.sock".to_owned());
    serve(&path, passed)
}

#[tokio::main]
async fn serve(path: &str, passed: Option<UnixListener>) -> Result<(), Box<dyn Error>> {
    let builder = Server::builder(path).mode(0o666).describe().authorize(may);
    let server = match passed {
        Some(listener) => builder.listener(listener).build(),
        None => builder.build(),
    };
    attach(&server)?;
    server.on_listening(|| notify(NotifyState::Ready));
    let signal = shutdown_signal();
    server
        .listen_until(async {
            signal.await;
            notify(NotifyState::Stopping);
        })
        .await
        .map_err(Into::into)
}

/// Only this process's own user may clear the notes. The kernel tells the user of a client.
fn may(attempt: &Attempt<'_>) -> Result<(), ErrorReply> {
    let is_own = attempt.peer().is_some_and(|peer| peer.uid == rustix::process::geteuid().as_raw());
    if !is_own && attempt.topic() == "clear" {
        return Err("only the daemon's own user may clear".into());
    }
    Ok(())
}

/// Tells systemd, if it is there and waits for it.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd can't be told");
    }
}

/// Attaches the handlers: all that a test needs of the daemon.
fn attach(server: &ServerHandle) -> Result<(), RegisterError> {
    let notes = Arc::new(watch::Sender::new(Vec::new()));
    let added = server.per_client(|_client_id| AtomicUsize::new(0));

    let all = Arc::clone(&notes);
    server.respond::<Add>(move |Add { text }, client_id| {
        let added = added.get(client_id).ok_or("the client has gone")?;
        if added.fetch_add(1, Ordering::Relaxed) >= QUOTA {
            return Err(ErrorReply::new("quota", format!("{QUOTA} notes are enough")));
        }
        all.send_modify(|notes| notes.push(text));
        Ok(all.borrow().len())
    })?;
    let (all, closing) = (Arc::clone(&notes), server.clone());
    server.respond_async::<Wait>(move |Wait(least), _client_id| {
        let (mut notes, closing) = (all.subscribe(), closing.clone());
        async move {
            // Without the second arm a wait that never ends would hold up the end of the daemon for `drain`.
            tokio::select! {
                notes = notes.wait_for(|notes| notes.len() >= least) => Ok(notes?.len()),
                () = closing.closing() => Err(ErrorReply::new(ErrorReply::CLOSING, "the daemon ends")),
            }
        }
    })?;
    let all = Arc::clone(&notes);
    server.respond::<Notes>(move |Notes, _client_id| all.borrow().clone())?;
    server.respond::<Clear>(move |Clear, _client_id| notes.send_replace(Vec::new()).len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn add_beyond_quota_is_refused_until_the_client_connects_again() -> Result<(), Box<dyn Error>> {
        let server = Server::builder("in memory").authorize(may).build();
        attach(&server)?;
        for connection in 0..2 {
            let client = server.in_memory_client().build();
            client.connect().await?;
            for number in 1..=QUOTA {
                let reply = client.request(&Add { text: "milk".to_owned() }).await?;
                assert_eq!(reply, connection * QUOTA + number);
            }
            assert!(client.request(&Add { text: "more milk".to_owned() }).await.is_err());
            assert_eq!(client.request(&Wait(2)).await?, (connection + 1) * QUOTA);
            client.close().await;
        }
        // A client in memory is a process of this user.
        let client = server.in_memory_client().build();
        client.connect().await?;
        assert_eq!(client.request(&Clear).await?, 2 * QUOTA);
        assert!(client.request(&Wait(1)).timeout(Duration::from_millis(10)).await.is_err());
        Ok(())
    }
}
