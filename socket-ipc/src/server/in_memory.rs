//! Clients in the process of their server, joined to it in memory.

use std::io;
use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};

use super::handle::ServerHandle;
use super::state::State;
use crate::client::ClientBuilder;
use crate::unix_socket::peer::Peer;

/// How many bytes each direction of such a connection holds: about as many as a Unix socket.
const PIPE_LEN: usize = 64 * 1024;

impl<P> ServerHandle<P> {
    /// Begins a client that is joined to this server in memory, without a socket file and without the kernel: for tests
    /// of handlers, and for parts of a program that are a client of its own server.
    ///
    /// The client has the protocol and the wire of the server, and the options of every client. It may connect whether
    /// the server listens or not, and connects again after its connection is lost, as every client does.
    /// [Paused time](https://docs.rs/tokio/1/tokio/time/fn.pause.html) works. To the server it is a client of this
    /// process: [`peer`](Self::peer) is this process, [`same_user_only`](crate::ServerBuilder::same_user_only) and
    /// [`allow_users`](crate::ServerBuilder::allow_users) take it as this process's own user, and so does
    /// [`expect_server_user`](ClientBuilder::expect_server_user) take the server.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = i64)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("/run/calculator.sock"); // does not listen: nothing is there
    /// server.respond::<Add>(|Add { left, right }, _client_id| left + right)?;
    ///
    /// let client = server.in_memory_client().build();
    /// client.connect().await?;
    /// assert_eq!(client.request(&Add { left: 2, right: 3 }).await?, 5);
    /// # Ok(()) }
    /// ```
    pub fn in_memory_client(&self) -> ClientBuilder<P> {
        let state = Arc::clone(&self.state);
        let path = state.options.path.clone();
        let wire = state.options.limits.wire;
        let open = move || join(Arc::clone(&state));
        ClientBuilder::new(path).wire(wire).in_process(Peer::of_this_process().uid, open)
    }
}

/// Makes a connection to the server, and returns the client's end.
async fn join(server: Arc<State>) -> io::Result<DuplexStream> {
    let this_process = Peer::of_this_process();
    if server.options.allowed_groups.is_some() && server.allowed_groups.get().is_none() {
        // It does not listen: it has not looked up the groups yet.
        server.find_groups().await.map_err(io::Error::other)?;
    }
    let of_group = server.is_of_allowed_group(Some(this_process)).await;
    let (ours, theirs) = duplex(PIPE_LEN);
    match server.admit(theirs, Some(this_process), of_group).map_err(io::Error::other)? {
        Some(_client_id) => Ok(ours),
        None => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the server is closed")),
    }
}
