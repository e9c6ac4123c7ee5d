//! Another transport: the same server and client over TCP on the loopback interface. It ends by itself.
//!
//! ```text
//! cargo run --example tcp
//! ```
//!
//! A connection works over any stream that reads and writes asynchronously. The program accepts the streams and passes
//! each to the server ([`serve_connection`](socket_ipc::ServerHandle::serve_connection)); the client gets a function that
//! opens one ([`connector`](socket_ipc::ClientBuilder::connector)). Listeners, limits, reconnecting and closing work as
//! on a Unix socket.
//!
//! A Unix socket has file permissions, and its kernel reports the user and process of each peer; TCP has neither. Any
//! user of this machine could connect to the server below, and the messages are not encrypted.

use std::error::Error;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use tokio::net::{TcpListener, TcpStream};

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
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("server: at {address}");

    // The path is only a name here; `listen` is not called.
    let server = Server::new("loopback");
    let reply = server.handle();
    server.on::<Hello>(move |msg, client_id| {
        println!("server: hello from {}, client {client_id}", msg.name);
        if let Err(error) = reply.send(&Greeting { text: format!("Hello, {}!", msg.name) }, client_id) {
            eprintln!("server: {error}");
        }
    });
    let accepting = tokio::spawn(accept(listener, server.handle()));

    let client = Client::builder("loopback").connector(move || open(address)).build();
    let mut greetings = client.subscribe::<Greeting>();
    client.connect().await?;
    client.send(&Hello { name: "crussell52".into() })?;
    let greeting = greetings.next().await.ok_or("the connection ended before the greeting came")?;
    println!("client: {}", greeting.text);

    client.close().await;
    accepting.abort();
    server.close().await;
    Ok(())
}

/// What `listen` would do, for TCP.
async fn accept(listener: TcpListener, server: socket_ipc::ServerHandle) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // The library already writes queued messages together, so waiting to fill a packet would only delay
                // them.
                if let Err(error) = stream.set_nodelay(true) {
                    eprintln!("server: {from}: {error}");
                }
                match server.serve_connection(stream) {
                    Ok(Some(client_id)) => println!("server: {from} is client {client_id}"),
                    Ok(None) => return, // the server is closed
                    Err(error) => eprintln!("server: {from}: {error}"),
                }
            }
            Err(error) => {
                eprintln!("server: {error}");
                // For example, no descriptors are left: without a pause this loop would spin.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

/// One attempt of the client to connect. A failed attempt is reported, and the client tries again, as on a Unix socket.
async fn open(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
