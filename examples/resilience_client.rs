//! A client that prints each of its events while its server comes and goes. It runs until Ctrl-C.
//!
//! Start any number of clients, before the server or after it:
//!
//! ```text
//! cargo run --example resilience_client
//! ```
//!
//! and, in another terminal, the server that stops again and again:
//!
//! ```text
//! cargo run --example resilience_server
//! ```
//!
//! Both take the path of the socket as an argument; the default is `socket-ipc-resilience.sock` in `$XDG_RUNTIME_DIR`, or
//! in the directory for temporary files where that is not set.
//!
//! The listeners are attached once, and stay attached when the client reconnects. A send without a connection returns an
//! error; the message is not queued for the next connection.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientHandle, ConnectError, Topic};

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
    // With a range, clients that lost the server together do not reconnect all at once.
    let client = Client::builder(&path)
        .retry_delay(Duration::from_millis(800)..Duration::from_millis(1200))
        .reconnect_delay(Duration::from_millis(100)..Duration::from_millis(500))
        .build();

    client.on_connect(|| println!("connected"));
    client.on_reconnect(|| println!("connected again"));
    client.on_connect_error(|error| println!("{error}"));
    client.on_disconnect(|reason| println!("lost the connection: {reason}"));
    client.on_message_error(|error| println!("the server sent {error}"));
    client.on_error(|error| println!("{error}"));
    client.on_close(|| println!("closed"));
    client.on::<Hello>(|hello| println!("received: {}", hello.text));

    tokio::spawn(tick(client.handle()));
    let stop = client.handle();
    tokio::spawn(async move {
        match tokio::signal::ctrl_c().await {
            Ok(()) => println!("stopping"),
            Err(error) => println!("{error}"),
        }
        stop.close().await;
    });

    match client.connect().await {
        // Ctrl-C came before the first connection.
        Err(ConnectError::Closed { .. }) => return Ok(()),
        connected => connected?,
    }
    client.closed().await;
    Ok(())
}

/// Sends a message a second, connected or not.
async fn tick(client: ClientHandle) {
    for number in 1.. {
        match client.send(&Tick { number }) {
            Ok(()) => println!("sent tick {number}"),
            Err(error) => println!("{error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn default_path() -> PathBuf {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    directory.join("socket-ipc-resilience.sock")
}
