//! Clients send as fast as they can; the server prints its clients and its messages a second, once a second. Both run
//! until Ctrl-C.
//!
//! ```text
//! cargo run --release --example spam -- server
//! ```
//!
//! and, in other terminals, any number of clients:
//!
//! ```text
//! cargo run --release --example spam -- client
//! ```
//!
//! Both take the path of the socket as a second argument; the default is `socket-ipc-spam.sock` in `$XDG_RUNTIME_DIR`, or
//! in the directory for temporary files where that is not set.
//!
//! The clients send with `send_async`, which waits while too much is queued. So they send as fast as the server reads,
//! and memory grows on neither end.

use std::borrow::Cow;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, SendError, Server, Topic};
use tokio::sync::Notify;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "spam"]
struct Spam<'m> {
    number: u64,
    #[serde(borrow)]
    text: Cow<'m, str>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next();
    let path = arguments.next().map_or_else(default_path, PathBuf::from);
    match role.as_ref().and_then(|role| role.to_str()) {
        Some("server") => count(&path).await,
        Some("client") => flood(&path).await,
        _ => Err("expected `server` or `client`, and optionally the path of the socket".into()),
    }
}

/// The server: counts the messages, and prints how many arrive in a second.
async fn count(path: &Path) -> Result<(), Box<dyn Error>> {
    let server = Server::new(path);
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    server.on::<Spam>(move |spam, _client_id| {
        std::hint::black_box((spam.number, spam.text));
        counter.fetch_add(1, Ordering::Relaxed);
    });
    server.listen().await?;
    println!("listening at {}", path.display());

    let print = async {
        loop {
            let since = Instant::now();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let messages = received.swap(0, Ordering::Relaxed) as f64 / since.elapsed().as_secs_f64();
            println!("{messages:.0} messages a second from {} clients", server.clients().len());
        }
    };
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped?,
        () = print => {}
    }
    server.close().await;
    Ok(())
}

/// A client: sends as fast as it can while it is connected.
async fn flood(path: &Path) -> Result<(), Box<dyn Error>> {
    let client = Client::new(path);
    let connected = Arc::new(Notify::new());
    let connecting = Arc::clone(&connected);
    client.on_connect(move || {
        println!("connected");
        connecting.notify_one();
    });
    client.on_connect_error(|_| println!("no server yet"));
    client.on_disconnect(|reason| println!("{reason}"));

    let send = async {
        client.connect().await?;
        for number in 0.. {
            match client.send_async(&Spam { number, text: "lovely spam, wonderful spam".into() }).await {
                Ok(()) => {}
                // The client reconnects by itself. `on_disconnect` has printed how much was lost.
                Err(SendError::NotConnected { .. }) => connected.notified().await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok::<(), Box<dyn Error>>(())
    };
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped?,
        sent = send => sent?,
    }
    client.close().await;
    Ok(())
}

fn default_path() -> PathBuf {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    directory.join("socket-ipc-spam.sock")
}
