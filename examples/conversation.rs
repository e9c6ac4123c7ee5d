//! A conversation of a server with two clients, bob and charlie, all in one process. It ends by itself.
//!
//! The server says hello to both clients, each client says hello back, and the server says hello again, but only to
//! charlie. Raw listeners of all topics print every message; typed listeners send the next one.
//!
//! ```text
//! cargo run --example conversation
//! ```
//!
//! To the library these messages are not requests and replies; `calculator.rs` has those. Here each hello has a number,
//! and the messages that follow from it repeat the number.

use std::error::Error;
use std::path::Path;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use tokio::sync::mpsc;

/// From the server to all clients.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    number: u32,
}

/// From a client to the server.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "helloback"]
struct HelloBack {
    client_name: String,
    number: u32,
}

/// From the server to charlie.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "helloagain"]
struct HelloAgain {
    number: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("conversation.sock");

    let server = Server::new(&path);
    server.on_message(|message, topic, client_id| {
        println!("client {client_id} -> server: [{topic}] {message}");
    });
    let reply = server.handle();
    server.on::<HelloBack>(move |msg, client_id| {
        if msg.client_name == "charlie" {
            report(reply.send(&HelloAgain { number: msg.number }, client_id));
        }
    });
    // `main` follows the conversation through a channel for an event and a subscription for a topic.
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    server.on_connection(move |client_id| {
        let _ = arrived.send(client_id);
    });
    let mut hello_backs = server.subscribe::<HelloBack>();
    server.listen().await?;
    println!("the server is listening");

    let bob = client(&path, "bob");
    bob.connect().await?;
    let charlie = client(&path, "charlie");
    let mut hello_agains = charlie.subscribe::<HelloAgain>();
    charlie.connect().await?;

    // `connect` may return before the server has accepted the client, and a broadcast reaches only accepted clients.
    for _ in ["bob", "charlie"] {
        arrivals.recv().await;
    }
    for number in 1..=3 {
        server.broadcast(&Hello { number })?;
        for _ in ["bob", "charlie"] {
            hello_backs.next().await.ok_or("a client did not say hello back")?;
        }
        hello_agains.next().await.ok_or("the server did not say hello again")?;
    }

    bob.close().await;
    charlie.close().await;
    server.close().await;
    println!("the conversation is over");
    Ok(())
}

/// A client that says hello back.
fn client(path: &Path, name: &'static str) -> Client {
    let client = Client::new(path);
    client.on_message(move |message, topic| println!("server -> {name}: [{topic}] {message}"));
    let reply = client.handle();
    client.on::<Hello>(move |msg| {
        report(reply.send(&HelloBack { client_name: name.into(), number: msg.number }));
    });
    client
}

fn report(sent: Result<(), socket_ipc::SendError>) {
    if let Err(error) = sent {
        eprintln!("{error}");
    }
}
