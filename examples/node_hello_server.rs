//! A server that greets programs written with the Node library `@crussell52/socket-ipc`.
//!
//! The server only needs the wire of their version, here that of 0.4.x. They can't tell it from a server written with
//! their library.
//!
//! In one terminal, start the server; it runs until Ctrl-C:
//!
//! ```text
//! cargo run --example node_hello_server
//! ```
//!
//! In another, say hello from Node:
//!
//! ```text
//! cd examples/node
//! npm ci
//! node client.js
//! ```
//!
//! or from Rust, with `cargo run --example node_hello_client`. Each of these programs takes the path of the socket as an
//! argument; the default is `socket-ipc-node-hello.sock` in the directory for temporary files.

use std::error::Error;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic, Wire};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("socket-ipc-node-hello.sock"), PathBuf::from);
    let server = Server::builder(&path).wire(Wire::NODE_0_4).build();

    server.on_message(|message, topic, client_id| println!("{client_id} {topic} {message}"));
    let reply = server.handle();
    server.on::<Hello>(move |hello, client_id| {
        let greeting = Greeting { text: format!("Hello, {}! This is Rust.", hello.name) };
        if let Err(error) = reply.send(&greeting, client_id) {
            eprintln!("{error}");
        }
    });
    server.on_connection(|client_id| println!("{client_id} connected"));
    server.on_connection_close(|client_id, reason| println!("{client_id} left: {reason}"));

    server.listen().await?;
    println!("listening at {}", path.display());
    tokio::signal::ctrl_c().await?;
    server.close().await;
    Ok(())
}
