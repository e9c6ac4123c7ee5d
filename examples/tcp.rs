//! Another transport: the same server and client over TCP on the loopback interface. It ends by itself.
//!
//! ```text
//! cargo run --example tcp
//! ```
//!
//! A connection works over anything that reads and writes asynchronously. The server is given each stream
//! that was accepted ([`serve`](socket_ipc::ServerHandle::serve_connection)), the client the code that opens one
//! ([`connector`](socket_ipc::ClientBuilder::connector)), and all else stays: listeners, limits,
//! reconnecting, closing.
//!
//! What a Unix socket brings and TCP does not: the permissions of a file, and a kernel that says who is on
//! the peer. Any user of this machine could connect to the server below, and what travels is not
//! encrypted.

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
                // Messages are written as large as they get; waiting for more to fill a packet only delays
                // them.
                if let Err(error) = stream.set_nodelay(true) {
                    eprintln!("server: {from}: {error}");
                }
                match server.serve_connection(stream) {
                    Ok(Some(client_id)) => println!("server: {from} is client {client_id}"),
                    Ok(None) => return, // the server is closed
                    Err(error_reply) => eprintln!("server: {from}: {error_reply}"),
                }
            }
            Err(error) => {
                eprintln!("server: {error}");
                // Out of descriptors, say: trying again at once would spin.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

/// One attempt of the client to connect. One that fails is reported and made again, as on a Unix socket.
async fn open(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
