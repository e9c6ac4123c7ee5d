//! A server that stops after a few seconds and starts again, over and over. It runs until Ctrl-C.
//!
//! ```text
//! cargo run --example resilience_server
//! ```
//!
//! and, in other terminals, any number of clients:
//!
//! ```text
//! cargo run --example resilience_client
//! ```
//!
//! Both take the path of the socket as an argument; the default is `socket-ipc-resilience.sock` in `$XDG_RUNTIME_DIR`, or
//! in the directory for temporary files where that is not set.
//!
//! Try `kill -9` on the server, too: the next one reclaims the socket file.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    text: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "tick"]
struct Tick {
    number: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(default_path, PathBuf::from);
    println!("the socket is {}", path.display());
    let stopped = tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        failed = come_and_go(&path) => return failed,
    };
    println!("stopped");
    Ok(stopped?)
}

/// Runs one server after the other. Dropping the future drops the running server, too.
async fn come_and_go(path: &Path) -> Result<(), Box<dyn Error>> {
    for number in 1.. {
        let server = server(path, number);
        server.listen().await?;
        for_a_while(3.0..8.0).await;
        if number % 2 == 1 {
            println!("server {number} closes: what is queued for its clients is written first");
            server.close().await;
        } else {
            println!("server {number} is dropped: its connections are aborted");
            drop(server);
        }
        for_a_while(1.0..4.0).await;
    }
    Ok(())
}

/// A server that says hello to every client, and prints its own events.
fn server(path: &Path, number: u32) -> Server {
    let server = Server::new(path);
    server.on_listening(move || println!("server {number} is listening"));
    let clients = server.handle();
    server.on_connection(move |client_id| {
        println!("server {number}: client {client_id} connected, {} in all", clients.clients().len());
        let hello = Hello { text: format!("server {number} greets client {client_id}") };
        if let Err(error) = clients.send(&hello, client_id) {
            println!("server {number}: {error}");
        }
    });
    server.on::<Tick>(move |tick, client_id| {
        println!("server {number}: tick {} of client {client_id}", tick.number);
    });
    server.on_connection_close(move |client_id, reason| {
        println!("server {number}: client {client_id} is gone: {reason}");
    });
    server.on_close(move || println!("server {number} is closed"));
    server
}

async fn for_a_while(seconds: std::ops::Range<f64>) {
    let length = seconds.end - seconds.start;
    tokio::time::sleep(Duration::from_secs_f64(seconds.start + fastrand::f64() * length)).await;
}

fn default_path() -> PathBuf {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    directory.join("socket-ipc-resilience.sock")
}
