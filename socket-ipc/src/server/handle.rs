//! A server's handle: tells about clients and counts, and closes, from anywhere.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::state::State;
use crate::client_id::ClientId;
use crate::connection::{CloseCommand, Closing, Limits};
use crate::endpoint::{Endpoint, closing};
use crate::error::Error;
use crate::events::CloseCause;
use crate::metrics::stats::Stats;
use crate::topic::direction::AnyTopic;
use crate::unix_socket::peer::Peer;

pub use super::listeners::AsyncListener;

/// A handle to a server, for its listeners and the rest of the program: attaches listeners, sends, tells which clients
/// are connected, closes.
///
/// Cheap to clone. It keeps neither the server nor a listener alive, so a listener may own one. Once the
/// server is closed or dropped, sending is [`SendError::Closed`](crate::SendError::Closed).
///
/// # Which send?
///
/// | call | where an outbox is full |
/// |---|---|
/// | [`send`](Self::send) | fails; the connection lives |
/// | [`send_async`](Self::send_async) | waits, which paces a program that sends much |
/// | [`broadcast`](Self::broadcast) | ends that connection as a slow consumer |
/// | [`broadcast_async`](Self::broadcast_async) | waits, up to `write_stall` in all |
/// | [`broadcast_latest`](Self::broadcast_latest) | keeps the message beside the outbox until the next one of its topic |
/// | [`group`](Self::group), its `broadcast` and so on | the same for the members of a group |
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "chat"]
/// struct Chat {
///     text: String,
/// }
///
/// let server = Server::new("/tmp/myApp.sock");
/// let others = server.handle();
/// server.on::<Chat>(move |msg, client_id| {
///     if let Err(error) = others.broadcast_except(&msg, client_id) {
///         eprintln!("{error}");
///     }
/// });
/// ```
pub struct ServerHandle<P = AnyTopic> {
    pub(super) state: Arc<State>,
    protocol: PhantomData<fn() -> P>,
}

impl<P> ServerHandle<P> {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, protocol: PhantomData }
    }

    /// Serves a client that is connected by other means: anything that reads and writes asynchronously.
    ///
    /// The server need not listen on a path for it. With [`tokio::io::duplex`] it is the way to test
    /// listeners without a socket; [`ClientBuilder::connector`](crate::ClientBuilder::connector) shows
    /// both ends.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyClients`]; [`Error::UserNotAllowed`] on a server that lets only some users in, as such
    /// a stream has no user. `Ok(None)` is a server that is closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("in memory");
    /// let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    /// let client_id = server.serve_connection(ours)?.expect("the server is not closed");
    /// assert_eq!(server.clients(), [client_id]);
    /// # Ok(()) }
    /// ```
    pub fn serve_connection<S>(&self, stream: S) -> Result<Option<ClientId>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.state.admit(stream, None, false)
    }

    /// Returns the clients that are connected, in the order in which they came.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientId> {
        let mut clients = Vec::new();
        self.state.clients.recipients().for_each(|id, _| clients.push(id));
        clients.sort_unstable();
        clients
    }

    /// Returns the process, user and group of a client, as the kernel tells them; `None` for one that is not
    /// connected, or not over a Unix socket.
    #[must_use]
    pub fn peer(&self, client_id: ClientId) -> Option<Peer> {
        self.state.clients.get(client_id)?.peer
    }

    /// Ends the connection of one client: no further message of the client is dispatched, what is queued for it is
    /// written (for `drain` at most), and the connection ends once the client has closed its end too, or a second
    /// later. Says whether the client was connected.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// let clients = server.handle();
    /// server.on_topic("quit", move |_message, client_id| {
    ///     clients.disconnect(client_id);
    /// });
    /// ```
    pub fn disconnect(&self, client_id: ClientId) -> bool {
        let client = self.state.clients.get(client_id);
        client.map(|client| client.link.outbox.close(CloseCommand::Drain(CloseCause::Disconnected))).is_some()
    }

    /// Returns what has been counted since the server was made: messages and bytes by topic, errors, what is queued.
    /// Counting is always on; [`Stats`] has an example.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Closes the server, for good.
    ///
    /// Closing begins at the call; the returned future waits for its end. The socket file is removed first, and there
    /// are no new connections. No further message listener starts. The queues are written, for `drain` at most;
    /// meanwhile incoming bytes are read and discarded. Each connection ends when the client has closed its end, too,
    /// or a second later. `on_close` is called last. Running asynchronous listeners may finish within the drain, except
    /// those that await the closing themselves. Streams end at once, and their requesters get an error reply
    /// ([`CLOSING`](crate::ErrorReply::CLOSING)). The path is free for another server once the future resolves.
    ///
    /// It may be called in every state, inside listeners, and any number of times.
    pub fn close(&self) -> Closing {
        self.state.close();
        self.closed()
    }

    /// Waits until the server is closed, by this handle or another, or dropped.
    pub fn closed(&self) -> Closing {
        closing::closed(&self.state)
    }

    /// Waits until the server begins to close. A listener or a responder that waits for something else can end once
    /// this resolves, and so end the drain early.
    ///
    /// ```
    /// use socket_ipc::ServerHandle;
    /// use std::time::Duration;
    ///
    /// async fn nap(server: ServerHandle) {
    ///     tokio::select! {
    ///         () = tokio::time::sleep(Duration::from_secs(60)) => println!("slept well"),
    ///         () = server.closing() => println!("woken early"),
    ///     }
    /// }
    /// ```
    pub async fn closing(&self) {
        closing::begun(&self.state).await;
    }

    /// The same server, whatever its protocol.
    pub(crate) fn untyped(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.state))
    }

    /// Where the server listens.
    pub(crate) fn path(&self) -> &Path {
        &self.state.options.path
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.state.options.limits
    }

    /// The endpoint itself, for what is the same on servers and clients.
    pub(crate) fn endpoint(&self) -> &Arc<impl Endpoint<Peer = ClientId> + use<P>> {
        &self.state
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("path", &self.state.options.path)
            .field("phase", &self.state.core.lifecycle.phase())
            .finish_non_exhaustive()
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for ServerHandle<P> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

impl<P> fmt::Debug for ServerHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("ServerHandle", f)
    }
}
