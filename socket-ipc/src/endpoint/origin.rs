//! Where an attempt comes from.

#[cfg(feature = "nats")]
use crate::cluster::ClientRef;

/// Where an [`Attempt`](crate::Attempt) comes from: what [`Attempt::origin`](crate::Attempt::origin) returns.
///
/// Without the feature `nats` there is no other origin than a client of this server. A `match` with an arm for `Client` and
/// one for all others (`_`) compiles with and without it.
///
/// `Client` is certain: nothing that comes over NATS is ever taken for a client of this server. What comes over NATS says
/// itself where it is from, and is believed as far as the permissions of its account go: the chapter
/// [cluster](crate::guide::cluster#who-is-trusted-and-how-far) has how far that is.
///
/// ```
/// use socket_ipc::{ErrorReply, Origin, Server};
///
/// let server = Server::builder("/tmp/myApp.sock")
///     .authorize(|attempt| match (attempt.topic(), attempt.origin()) {
///         ("shut down", Origin::Client) => Ok(()),
///         ("shut down", _) => Err(ErrorReply::new(ErrorReply::FORBIDDEN, "only from this machine")),
///         _ => Ok(()),
///     })
///     .build();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A client of this server.
    Client,
    /// A client of another node of the domain, whose request that node forwarded. The number 0 is the other node's server
    /// itself: no client has it. The command `socket-ipc request --nats` comes as the server of a node named `command`.
    ///
    /// The node and the number are those of the reply subject, under which the node of that name alone reads the reply. NATS
    /// checks who publishes requests of a topic, and not the reply subject that they name. So an account that may publish
    /// the request may name another node, and then does not get the reply.
    #[cfg(feature = "nats")]
    Node(ClientRef),
    /// A program on the engine, which is no node: a plain NATS program. A message without an `id` that came over NATS is
    /// always of this origin, as nothing in it names a node.
    #[cfg(feature = "nats")]
    Engine,
}

impl Origin {
    /// Whether it came over NATS, and not from a client of this server. Always `false` without the feature `nats`.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !matches!(self, Self::Client)
    }
}
