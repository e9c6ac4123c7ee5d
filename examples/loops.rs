//! A server and a client in one process, both written as loops over their events, without callbacks: connections and
//! messages come in one order, so each loop keeps its own state without a lock. It ends by itself.
//!
//! ```text
//! cargo run --example loops
//! ```
//!
//! The server greets a client that says hello, and closes; then a second server starts at the same path. The client
//! loses the first server and reconnects to the second by itself.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientEvent, Server, ServerEvent, Topic, TopicSet};

#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "goodbye"]
struct Goodbye;

#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting {
    text: String,
}

/// What the server listens to.
#[derive(Debug, TopicSet)]
enum FromClient {
    Hello(Hello),
    Goodbye(Goodbye),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("myApp.sock");
    let one_server_after_the_other = async {
        serve("the first server", &path).await?;
        serve("the second server", &path).await
    };
    tokio::try_join!(one_server_after_the_other, talk(&path))?;
    println!("both loops have ended");
    Ok(())
}

/// A server as a loop over the events of its connections and the messages of its clients.
async fn serve(name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let server = Server::new(path);
    // Made before the first client can connect; it would begin with the clients that there are.
    let mut events = server.events::<FromClient>();
    server.listen().await?;
    // Nothing of a client comes before its `Connected` or after its `Disconnected`.
    let mut names = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            ServerEvent::Connected(client_id) => println!("{name}: client {client_id} connected"),
            ServerEvent::Message(FromClient::Hello(hello), client_id) => {
                let greeting = Greeting { text: format!("Hello, {}, from {name}!", hello.name) };
                names.insert(client_id, hello.name);
                if let Err(error) = server.send(&greeting, client_id) {
                    eprintln!("{name}: {error}");
                }
            }
            // This begins to close the server: it writes what is queued, and the loop ends after the last event.
            ServerEvent::Message(FromClient::Goodbye(Goodbye), _) => drop(server.close()),
            ServerEvent::Disconnected(client_id, reason) => {
                let who = names.remove(&client_id).unwrap_or_else(|| "somebody".into());
                println!("{name}: client {client_id}, {who}, is gone: {reason}");
            }
            other => println!("{name}: {other:?}"),
        }
    }
    Ok(())
}

/// A client as a loop over the events of its connection and the messages of its server.
async fn talk(path: &Path) -> Result<(), Box<dyn Error>> {
    let delay = Duration::from_millis(50);
    let client = Client::builder(path).retry_delay(delay).reconnect_delay(delay).build();
    let mut events = client.events::<Greeting>();
    client.connect().await?;
    let mut greeted = 0;
    while let Some(event) = events.next().await {
        let sent = match event {
            ClientEvent::Connected { again } => {
                println!("client: connected{}", if again { " again" } else { "" });
                client.send(&Hello { name: "crussell52".into() })
            }
            ClientEvent::Message(greeting) => {
                println!("client: {}", greeting.text);
                greeted += 1;
                client.send(&Goodbye)
            }
            ClientEvent::Disconnected(reason) => {
                println!("client: disconnected: {reason}");
                if greeted == 2 {
                    drop(client.close()); // ends the stream, and so the loop
                }
                continue;
            }
            ClientEvent::ConnectFailed(failures) => {
                println!("client: {failures}; trying again");
                continue;
            }
            other => {
                println!("client: {other:?}");
                continue;
            }
        };
        if let Err(error) = sent {
            eprintln!("client: {error}");
        }
    }
    Ok(())
}
