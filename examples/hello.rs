//! The quick start: a server and a client in one process; both print what they receive. It ends by itself.
//!
//! ```text
//! cargo run --example hello
//! ```

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};

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
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("myApp.sock");

    // One process: greets a client that says hello.
    let server = Server::new(&path);
    let reply = server.handle();
    server.on::<Hello>(move |msg, client_id| {
        println!("server: hello from {}, client {client_id}", msg.name);
        let greeting = Greeting { text: format!("Hello, {}!", msg.name) };
        if let Err(error) = reply.send(&greeting, client_id) {
            eprintln!("server: {error}");
        }
    });
    server.listen().await?;

    // Another process (here, the same one): says hello, and waits for the greeting.
    let client = Client::new(&path);
    let mut greetings = client.subscribe::<Greeting>();
    client.connect().await?;
    client.send(&Hello { name: "crussell52".into() })?;
    let greeting = greetings.next().await.ok_or("the connection ended before the greeting came")?;
    println!("client: {}", greeting.text);

    client.close().await;
    server.close().await;
    Ok(())
}
