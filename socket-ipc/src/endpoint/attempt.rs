//! What a client attempts, and the closure that decides whether it may.

use std::fmt;
use std::sync::Arc;

use super::origin::Origin;
use crate::client_id::ClientId;
use crate::error::error_reply::ErrorReply;
use crate::unix_socket::peer::Peer;
use crate::wire::AttemptKind;

/// What a client attempts: a message, a request or a stream that has arrived and is not decoded yet. See
/// [`ServerBuilder::authorize`](crate::ServerBuilder::authorize).
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    topic: &'a str,
    kind: AttemptKind,
    client_id: ClientId,
    peer: Option<Peer>,
    origin: Origin,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        topic: &'a str,
        kind: AttemptKind,
        client_id: ClientId,
        peer: Option<Peer>,
        origin: Origin,
    ) -> Self {
        Self { topic, kind, client_id, peer, origin }
    }

    /// Returns the topic. It may be one that has no listener here, or one of the library's own, which begin with
    /// `socket-ipc.`.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.topic
    }

    /// Returns what is attempted: to send a message, to get a reply, or to get a stream. A message without an `id` calls
    /// the responder of its topic, too.
    #[must_use]
    pub fn kind(&self) -> AttemptKind {
        self.kind
    }

    /// Returns the client. A request from another machine has an id that no client of this server ever has, and that is not
    /// its own: [`origin`](Self::origin) says of whom it is.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// Returns the process, user and group of the client, as the kernel tells them. `None` for a client over another
    /// transport than a Unix socket, and for a request from another machine: whether it may do something has to be
    /// known in another way.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.peer
    }

    /// Returns where it comes from: a client of this server, or, with the feature `nats`, another node or a program on the
    /// engine.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

type Decide = dyn Fn(&Attempt<'_>) -> Result<(), ErrorReply> + Send + Sync;

/// The closure that decides which attempts may be made.
#[derive(Clone)]
pub(crate) struct Authorize(Arc<Decide>);

impl Authorize {
    pub(crate) fn new(
        decide: impl Fn(&Attempt<'_>) -> Result<(), ErrorReply> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(decide))
    }

    pub(crate) fn decide(&self, attempt: &Attempt<'_>) -> Result<(), ErrorReply> {
        (self.0)(attempt)
    }
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}
