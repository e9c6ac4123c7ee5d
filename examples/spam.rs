//! One process floods, another counts: messages a second and clients, once a second, until Ctrl-C.
//!
//! ```text
//! cargo run --release --example spam -- server
//! ```
//!
//! and, in other terminals, as many as you like of
//!
//! ```text
//! cargo run --release --example spam -- client
//! ```
//!
//! Both take the path of the socket as a second argument, if it is not to be `socket-ipc-spam.sock` in
//! `$XDG_RUNTIME_DIR`, or in the directory for temporary files where that is not set.
//!
//! The clients send with `send_async`, which waits while much is queued: they flood as fast as the server
//! reads, and neither side's memory grows.

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
    let side = arguments.next();
    let path = arguments.next().map_or_else(default_path, PathBuf::from);
    match side.as_ref().and_then(|side| side.to_str()) {
        Some("server") => count(&path).await,
        Some("client") => flood(&path).await,
        _ => {
            Err("which side? Say `server` or `client`, and then, if you like, the path of the socket".into())
        }
    }
}

/// The server: counts, and says how fast it goes.
async fn count(path: &Path) -> Result<(), Box<dyn Error>> {
    let server = Server::new(path);
    let heard = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&heard);
    server.on::<Spam>(move |spam, _client_id| {
        std::hint::black_box((spam.number, spam.text));
        counter.fetch_add(1, Ordering::Relaxed);
    });
    server.listen().await?;
    println!("listening at {}", path.display());

    let say = async {
        loop {
            let since = Instant::now();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let messages = heard.swap(0, Ordering::Relaxed) as f64 / since.elapsed().as_secs_f64();
            println!("{messages:.0} messages a second from {} clients", server.clients().len());
        }
    };
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped?,
        () = say => {}
    }
    server.close().await;
    Ok(())
}

/// A client: sends as fast as it can, whenever there is a server.
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
                // The client is at it already; what was lost with the connection `on_disconnect` has said.
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
