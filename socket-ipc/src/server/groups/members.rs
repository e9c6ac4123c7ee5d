//! The members of one group.

use std::sync::{Arc, RwLock};

use super::super::clients::{ById, ConnectedClient};
use super::super::recipients::{Recipients, for_each_in};
use super::shrink;
use crate::client_id::ClientId;
use crate::connection::BroadcastLog;
use crate::sync::{read, write};

#[derive(Default)]
pub(super) struct Members {
    name: Arc<str>,
    connected: RwLock<ById>,
    /// Of its own, so that the broadcasts to its members follow each other, whatever other groups are sent.
    log: BroadcastLog,
}

impl Members {
    pub(super) fn of(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), ..Self::default() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn is_of(&self, name: &str) -> bool {
        *self.name == *name
    }

    pub(super) fn add(&self, id: ClientId, client: &Arc<ConnectedClient>) {
        write(&self.connected).insert(id, Arc::clone(client));
    }

    /// Removes a member, and says whether none is left.
    pub(super) fn remove(&self, id: ClientId) -> bool {
        let mut connected = write(&self.connected);
        connected.remove(&id);
        shrink(&mut connected);
        connected.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        read(&self.connected).is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        read(&self.connected).capacity()
    }

    /// Whether a client is a member, and takes messages.
    pub(super) fn contains(&self, id: ClientId) -> bool {
        read(&self.connected).get(&id).is_some_and(|client| !client.link.outbox.has_ended())
    }
}

impl Recipients for Members {
    fn log(&self) -> &BroadcastLog {
        &self.log
    }

    fn len(&self) -> usize {
        read(&self.connected).len()
    }

    fn for_each(&self, with: impl FnMut(ClientId, &Arc<ConnectedClient>)) {
        for_each_in(&self.connected, with);
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("name", &self.name).field("len", &self.len()).finish_non_exhaustive()
    }
}
