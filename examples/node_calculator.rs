//! A server that replies to the requests of programs written with the Node library `@crussell52/socket-ipc`, and sends
//! each of them a request of its own.
//!
//! The Node library has messages and no requests. A responder replies to a plain message, too, where the request names a
//! `reply_topic`: its reply is a plain message of that topic, or of the topic `error`. In the other direction the server
//! sends a message and has a listener for the message that comes back.
//!
//! In one terminal, start the server; it runs until Ctrl-C:
//!
//! ```text
//! cargo run --example node_calculator
//! ```
//!
//! In another, send requests from Node:
//!
//! ```text
//! cd examples/node
//! npm ci
//! node calculator.js
//! ```
//!
//! Both take the path of the socket as an argument; the default is `socket-ipc-node-calculator.sock` in the directory
//! for temporary files.

use std::error::Error;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use socket_ipc::{Context, ErrorReply, Server, Topic, Wire, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64, reply_topic = "sum")]
struct Add {
    left: i64,
    right: i64,
}

/// A request of the server. Programs in Node reply with a `Product`, but can't say to which request.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "multiply"]
struct Multiply {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "product"]
struct Product(i64);

struct Calculator;

#[handlers]
impl Calculator {
    fn add(&self, Add { left, right }: Add, context: Context<'_>) -> Result<i64, ErrorReply> {
        println!("{} requests {left} + {right}", context.client_id());
        let sum = left.checked_add(right);
        sum.ok_or_else(|| ErrorReply::new("too_much", "that is more than I can count"))
    }

    fn product(&self, Product(product): Product, context: Context<'_>) {
        println!("{} says that 6 * 7 = {product}", context.client_id());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("socket-ipc-node-calculator.sock"), PathBuf::from);
    let server = Server::builder(&path).wire(Wire::NODE_0_4).build();

    server.attach(Calculator)?;
    let clients = server.handle();
    server.on_connection(move |client_id| {
        println!("{client_id} connected");
        if let Err(error) = clients.send(&Multiply { left: 6, right: 7 }, client_id) {
            eprintln!("{error}");
        }
    });
    server.on_connection_close(|client_id, reason| println!("{client_id} left: {reason}"));

    server.listen().await?;
    println!("listening at {}", path.display());
    tokio::signal::ctrl_c().await?;
    server.close().await;
    Ok(())
}
