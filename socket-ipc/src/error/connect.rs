//! Why a client cannot connect.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why an attempt to connect failed, or why the client makes no further attempt.
///
/// ```
/// use socket_ipc::Client;
///
/// let client = Client::new("/tmp/myApp.sock");
/// client.on_connect_error(|error| eprintln!("{error}; trying again"));
/// ```
///
/// [Troubleshooting](crate::guide::troubleshooting#when-a-client-does-not-connect) has what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The path is not valid for a socket. No attempt is made.
    #[error("cannot connect to {path:?}: {reason}")]
    InvalidPath {
        /// The path.
        path: PathBuf,
        /// What is wrong with it, with the lengths.
        reason: String,
    },
    /// The server is not there, or does not let this process in.
    #[error("cannot connect to {}: {cause}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the operating system, or of the [`connector`](crate::ClientBuilder::connector).
        cause: Arc<io::Error>,
    },
    /// The server listens, but accepted no connection within `connect_timeout`.
    #[error("cannot connect to {}: no connection within {timeout:?}", path.display())]
    Timeout {
        /// The path.
        path: PathBuf,
        /// `connect_timeout`.
        timeout: Duration,
    },
    /// The server runs as another user than `expect_server_user` says. Nothing was sent to it or read from it.
    #[error("cannot connect to {}: its server runs as {}, expected user {expected}", path.display(), user(*found))]
    WrongUser {
        /// The path.
        path: PathBuf,
        /// The user id that was expected.
        expected: u32,
        /// The user id of the server; `None` where the connection does not tell it.
        found: Option<u32>,
    },
    /// The last of the attempts that `give_up_after` allows has failed. The client is closed.
    #[error("gave up after {attempts} attempts: {cause}")]
    GaveUp {
        /// The path.
        path: PathBuf,
        /// How many attempts were made.
        attempts: u32,
        /// Why the last one failed.
        cause: Arc<ConnectError>,
    },
    /// No connection was made within the time that [`connect_within`](crate::Client::connect_within) was given. The
    /// client is as before the call.
    #[error("cannot connect to {}: no connection within {timeout:?}{}", path.display(), last(cause.as_deref()))]
    DeadlineExceeded {
        /// The path.
        path: PathBuf,
        /// What `connect_within` was given.
        timeout: Duration,
        /// Why the last attempt failed; `None` if no attempt failed in that time.
        cause: Option<Arc<ConnectError>>,
    },
    /// The thread that a [blocking client](crate::blocking) runs on could not be started.
    #[cfg(feature = "blocking")]
    #[error("cannot connect to {}: the client's thread could not be started: {cause}", path.display())]
    Thread {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        cause: Arc<io::Error>,
    },
    /// `connect` was called before.
    #[error("cannot connect to {}: this client was told to connect before", path.display())]
    AlreadyConnecting {
        /// The path.
        path: PathBuf,
    },
    /// The client is closed. A closed client can't connect again.
    #[error("cannot connect to {}: this client is closed; make a new one", path.display())]
    Closed {
        /// The path.
        path: PathBuf,
    },
}

/// Why the last attempt failed, if one did.
fn last(cause: Option<&ConnectError>) -> String {
    match cause {
        None => String::new(),
        // The text names the path already.
        Some(ConnectError::Io { cause, .. }) => format!(" ({cause})"),
        Some(cause) => format!(" ({cause})"),
    }
}

fn user(found: Option<u32>) -> String {
    found.map_or_else(|| "an unknown user".to_owned(), |uid| format!("user {uid}"))
}
