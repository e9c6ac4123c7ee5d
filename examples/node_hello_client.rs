//! A client that says hello to a server written with the Node library `@crussell52/socket-ipc`, and ends once it has
//! received a greeting.
//!
//! The client only needs the wire of the server's version, here that of 0.4.x.
//!
//! In one terminal, start the server:
//!
//! ```text
//! cd examples/node
//! npm ci
//! node server.js
//! ```
//!
//! In another, say hello:
//!
//! ```text
//! cargo run --example node_hello_client
//! ```
//!
//! The server may also be `cargo run --example node_hello_server`. Each of these programs takes the path of the socket as
//! an argument; the default is `socket-ipc-node-hello.sock` in the directory for temporary files.

use std::error::Error;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic, Wire};

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
    let client = Client::builder(&path).wire(Wire::NODE_0_4).build();

    let done = client.handle();
    client.on::<Greeting>(move |greeting| {
        println!("{}", greeting.text);
        // This begins to close the client. `main` waits for the end.
        drop(done.close());
    });
    client.on_connect_error(|error| println!("no server yet: {error}"));

    client.connect().await?;
    println!("connected to {}", path.display());
    client.send(&Hello { name: "Rust".into() })?;
    client.closed().await;
    Ok(())
}
