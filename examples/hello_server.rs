//! The server of the quick start as a program of its own: it greets each client that says hello, and prints every
//! message that it receives. It runs until Ctrl-C or SIGTERM.
//!
//! ```text
//! cargo run --example hello_server -- /tmp/myApp.sock
//! ```
//!
//! In another terminal, any program that can write a line of JSON to a Unix socket can be its client:
//!
//! ```text
//! echo '{"topic":"hello","message":{"name":"shell"}}' | socat -t 5 - UNIX-CONNECT:/tmp/myApp.sock
//! ```
//!
//! The chapter of the book on other languages does the same with jq, nc, Python and Node. Without an argument the socket
//! is `socket-ipc-hello.sock` in `$XDG_RUNTIME_DIR`, or in the directory for temporary files where that is not set. If
//! systemd passes a socket, the server uses that one; `examples/systemd` has the units.

use std::error::Error;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic, activated_listener, shutdown_signal};

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

fn main() -> Result<(), Box<dyn Error>> {
    // Called before the runtime starts threads, since it removes systemd's variables from the environment.
    let activated = activated_listener()?;
    serve(activated)
}

#[tokio::main]
async fn serve(activated: Option<UnixListener>) -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(default_path, PathBuf::from);
    // The server describes itself to `socket-ipc topics PATH`.
    let builder = Server::builder(&path).describe();
    let server = match activated {
        Some(listener) => builder.listener(listener).build(),
        None => builder.build(),
    };

    server.on_message(|message, topic, client_id| println!("{client_id} {topic} {message}"));
    let reply = server.handle();
    server.on::<Hello>(move |msg, client_id| {
        let greeting = Greeting { text: format!("Hello, {}!", msg.name) };
        if let Err(error) = reply.send(&greeting, client_id) {
            eprintln!("{error}");
        }
    });
    let clients = server.handle();
    server.on_connection(move |client_id| match clients.peer(client_id) {
        Some(peer) => println!("{client_id} connected: {peer}"),
        None => println!("{client_id} connected"),
    });
    server.on_message_error(|error, client_id| println!("{client_id} sent {error}"));
    server.on_connection_close(|client_id, reason| println!("{client_id} left: {reason}"));

    server.on_listening(move || println!("listening at {}", path.display()));
    server.listen_until(shutdown_signal()).await?;
    Ok(())
}

fn default_path() -> PathBuf {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    directory.join("socket-ipc-hello.sock")
}
