//! The id of one connection on its server.

use std::fmt;

/// Identifies one connection of a server, from its `on_connection` to its `on_connection_close`.
///
/// Ids count from 1 in the order in which clients are admitted. A server never reuses one: a client that reconnects
/// gets a new id.
///
/// ```
/// use socket_ipc::{ClientId, Server};
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.on_connection(|client_id: ClientId| println!("client {client_id} is number {}", client_id.get()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

/// More connections than a server ever has. JavaScript still reads such a number exactly.
#[cfg(feature = "nats")]
const FIRST_REMOTE: u64 = 1 << 52;

impl ClientId {
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    /// The id of a requester on another machine, which reached the server over NATS.
    #[cfg(feature = "nats")]
    pub(crate) fn remote(number: u64) -> Self {
        Self(FIRST_REMOTE + number)
    }

    /// Whether it is that of a requester on another machine. No local connection ever has such an id.
    #[cfg(feature = "nats")]
    pub(crate) fn is_remote(self) -> bool {
        self.0 >= FIRST_REMOTE
    }

    /// Returns the id as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
