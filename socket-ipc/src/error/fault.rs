//! Errors that no call returns.

use std::io;
use std::path::PathBuf;

use crate::client_id::ClientId;
use crate::error::{ConnectError, ListenError};
use crate::unix_socket::peer::Peer;

/// An error that no call could return. Reported by `on_error`.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.on_error(|error| eprintln!("{error}"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A listener panicked. The other listeners of the message or event still ran, and the connection lives on.
    #[error("a listener of {listens_for} panicked{}: {panic}", of_client(*client_id))]
    ListenerPanicked {
        /// What it listens for: a topic, in back quotes, every message, or an event.
        listens_for: String,
        /// The client whose message or event it was.
        client_id: Option<ClientId>,
        /// The text of the panic.
        panic: String,
    },
    /// A `Serialize` implementation panicked. The `send` it was called for returned an error too.
    #[error("the `Serialize` of a message of `{topic}` panicked: {panic}")]
    SerializePanicked {
        /// The topic of the message.
        topic: String,
        /// The text of the panic.
        panic: String,
    },
    /// A connection could not be accepted. The server pauses (10 ms, doubling to 1 s) and goes on.
    #[error("cannot accept a connection on {}: {cause}", path.display())]
    Accept {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A client was refused because `max_clients` are connected.
    #[error(
        "refused a client of {}: {limit} are connected, the most that `max_clients` and the limit of open files allow",
        path.display()
    )]
    TooManyClients {
        /// The path of the socket.
        path: PathBuf,
        /// The number of clients that are allowed.
        limit: usize,
    },
    /// A client was refused because neither its user nor a group of that user is allowed. Nothing of it was read.
    #[error("refused a client of {}: {} is not allowed in", path.display(), process_of(*peer))]
    UserNotAllowed {
        /// The path of the socket.
        path: PathBuf,
        /// The client's process; `None` where the connection does not tell it.
        peer: Option<Peer>,
    },
    /// The client lost its connection, and all attempts that `give_up_after` allows failed. It is closed.
    #[error("{0}")]
    GaveUp(ConnectError),
    /// The socket file of a listening server is gone: removed, replaced, or hidden by a volume that was mounted over
    /// it. No new client reaches the server; connected clients notice nothing. The server binds the path again, unless
    /// another file is there or the socket was passed to the server.
    #[error("the socket file {} is gone: {found} is there now, and no new client reaches this server by it", path.display())]
    SocketFileGone {
        /// The path of the socket.
        path: PathBuf,
        /// What is there now.
        found: String,
    },
    /// The socket file was gone, and the server listens on the path again.
    #[error("the socket file {} was gone, and is bound again", path.display())]
    SocketFileBoundAgain {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The socket file is gone, and the server can't bind the path again. It goes on trying, and displaces nothing.
    #[error("the socket file {} is gone, and can't be bound again yet: {cause}", path.display())]
    SocketFileNotBoundAgain {
        /// The path of the socket.
        path: PathBuf,
        /// What is in the way.
        cause: ListenError,
    },
    /// The socket file could not be removed.
    #[error("cannot remove the socket file {}: {cause}", path.display())]
    Remove {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
}

fn process_of(peer: Option<Peer>) -> String {
    peer.map_or_else(|| "a peer without a user".to_owned(), |peer| peer.to_string())
}

fn of_client(client_id: Option<ClientId>) -> String {
    client_id.map_or_else(String::new, |id| format!(" (client {id})"))
}
