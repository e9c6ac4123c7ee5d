//! How an endpoint tells its peers apart.

use std::hash::Hash;

use crate::client_id::ClientId;

/// Names a peer: a client by its id; a server is the only peer of its client and has no name.
pub(crate) trait PeerId: Copy + Eq + Hash + Send + Sync + Unpin + 'static {
    /// What log events call the endpoint that has such peers.
    const ENDPOINT: &'static str;

    fn client_id(self) -> Option<ClientId>;
}

impl PeerId for ClientId {
    const ENDPOINT: &'static str = "server";

    #[inline]
    fn client_id(self) -> Option<ClientId> {
        Some(self)
    }
}

impl PeerId for () {
    const ENDPOINT: &'static str = "client";

    #[inline]
    fn client_id(self) -> Option<ClientId> {
        None
    }
}
