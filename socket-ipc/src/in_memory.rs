//! Clients in the process of their server, joined to it in memory.

use crate::client::ClientBuilder;
use crate::server::ServerHandle;
use crate::unix_socket::peer::Peer;

/// # In memory
impl<P> ServerHandle<P> {
    /// Begins a client that is joined to this server in memory, without a socket file and without the kernel: for tests
    /// of handlers, and for parts of a program that are a client of its own server.
    ///
    /// The client has the protocol and the wire of the server, and the options of every client. It may connect whether
    /// the server listens or not, and connects again after its connection is lost, as every client does. The server's
    /// end runs on the runtime in which the client connects.
    /// [Paused time](https://docs.rs/tokio/1/tokio/time/fn.pause.html) works.
    ///
    /// To the server it is a client of this process: [`peer`](Self::peer) is this process, and
    /// [`same_user_only`](crate::ServerBuilder::same_user_only) and [`allow_users`](crate::ServerBuilder::allow_users)
    /// take it as this process's own user. [`expect_server_user`](ClientBuilder::expect_server_user) takes the server
    /// as that user, too.
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
        let server = self.untyped();
        let open = move || {
            let server = server.clone();
            async move { server.join_in_memory().await }
        };
        let builder = ClientBuilder::new(self.path().to_owned()).wire(self.limits().wire);
        builder.in_process(Peer::of_this_process().uid, open)
    }
}
