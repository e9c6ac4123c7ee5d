//! The members of one group.

use std::sync::Arc;

use super::super::clients::ConnectedClient;
use super::super::recipients::Recipients;
use super::shrink;
use crate::client_id::ClientId;

#[derive(Default)]
pub(super) struct Members {
    name: Arc<str>,
    clients: Recipients,
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

    pub(super) fn clients(&self) -> &Recipients {
        &self.clients
    }

    pub(super) fn add(&self, id: ClientId, client: &Arc<ConnectedClient>) {
        self.clients.write().insert(id, Arc::clone(client));
    }

    /// Removes a member, and says whether none is left.
    pub(super) fn remove(&self, id: ClientId) -> bool {
        let mut clients = self.clients.write();
        clients.remove(&id);
        shrink(&mut clients);
        clients.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clients.read().is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.clients.read().capacity()
    }
}

impl AsRef<Recipients> for Members {
    fn as_ref(&self) -> &Recipients {
        &self.clients
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = self.clients.len();
        f.debug_struct("Members").field("name", &self.name).field("len", &len).finish_non_exhaustive()
    }
}
