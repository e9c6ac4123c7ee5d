//! A server and a client in one process, both written as loops that read messages and events from streams, without
//! callbacks. It ends by itself.
//!
//! ```text
//! cargo run --example loops
//! ```
//!
//! The server greets a client that says hello, and closes; then a second server starts at the same path. The client
//! loses the first server and reconnects to the second by itself.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientConnectionEvent, Server, ServerConnectionEvent, Topic};

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

/// A server as a loop with `select!` over the events of its connections and the messages of its clients.
async fn serve(name: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let server = Server::new(path);
    // Made before the first client can connect, so that no event and no message is lost.
    let mut connections = server.connection_events();
    let mut hellos = server.subscribe::<Hello>();
    server.listen().await?;
    loop {
        tokio::select! {
            Some(event) = connections.next() => match event {
                ServerConnectionEvent::Opened(client_id) => println!("{name}: client {client_id} connected"),
                ServerConnectionEvent::Closed(client_id, reason) => println!("{name}: client {client_id} is gone: {reason}"),
                // A loop that is too slow is told how many events it missed. It then lists the clients.
                ServerConnectionEvent::Lagged(count) => println!("{name}: {count} events missed, the clients are {:?}", server.clients()),
                _ => {}
            },
            Some((hello, client_id)) = hellos.next() => {
                let greeting = Greeting { text: format!("Hello, {}, from {name}!", hello.name) };
                if let Err(error) = server.send(&greeting, client_id) {
                    eprintln!("{name}: {error}");
                }
                // This begins to close the server: it writes what is queued, and both streams end after their last item.
                drop(server.close());
            },
            // Both streams have ended.
            else => return Ok(()),
        }
    }
}

/// What the client's loop reads.
enum Input {
    State(ClientConnectionEvent),
    Greeting(Greeting),
}

/// A client as a loop over one stream, which merges two.
///
/// Each of the two has a queue of its own, so a greeting may be read after the event that its connection ended.
async fn talk(path: &Path) -> Result<(), Box<dyn Error>> {
    let delay = Duration::from_millis(50);
    let client = Client::builder(path).retry_delay(delay).reconnect_delay(delay).build();
    let states = client.connection_events().map(Input::State);
    let greetings = client.subscribe::<Greeting>().map(Input::Greeting);
    let mut inputs = futures::stream::select(states, greetings);
    client.connect().await?;
    let mut greeted = 0;
    while let Some(input) = inputs.next().await {
        match input {
            Input::State(ClientConnectionEvent::Connected { again }) => {
                println!("client: connected{}", if again { " again" } else { "" });
                if let Err(error) = client.send(&Hello { name: "crussell52".into() }) {
                    eprintln!("client: {error}");
                }
            }
            Input::State(ClientConnectionEvent::ConnectFailed(error)) => {
                println!("client: {error}; trying again")
            }
            Input::State(ClientConnectionEvent::Disconnected(reason)) => {
                println!("client: disconnected: {reason}")
            }
            Input::State(other) => println!("client: {other:?}"),
            Input::Greeting(greeting) => {
                println!("client: {}", greeting.text);
                greeted += 1;
                if greeted == 2 {
                    drop(client.close()); // ends both streams, and so the loop
                }
            }
        }
    }
    Ok(())
}
