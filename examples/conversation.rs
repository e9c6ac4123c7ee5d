//! A conversation of a server with two clients, bob and charlie, all in one process. It ends by itself.
//!
//! The server says hello to everybody, each client says hello back, and the server says hello again, but only
//! to charlie. Every message is printed by raw listeners, which hear all topics; the typed ones beside them
//! do the talking.
//!
//! ```text
//! cargo run --example conversation
//! ```
//!
//! These messages are not replies to each other as far as the library knows; `calculator.rs` has those. What
//! belongs together says so itself: here by the number that each hello carries and that is repeated to the end of
//! its conversation.

use std::error::Error;
use std::path::Path;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use tokio::sync::mpsc;

/// The server to everybody.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    number: u32,
}

/// A client to the server.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "helloback"]
struct HelloBack {
    client_name: String,
    number: u32,
}

/// The server to charlie.
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
    // How `main` follows the conversation: a channel for an event, and a subscription for a topic.
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

    // A client is connected before the server has noticed it, and a broadcast goes to those that it has
    // noticed.
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

/// A client that says hello back, and knows nothing of the server but its path.
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
