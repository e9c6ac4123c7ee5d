//! The clients that a broadcast is for: all of a server, or the members of a group.

use std::collections::HashMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::FixedState;

use super::clients::ConnectedClient;
use crate::client_id::ClientId;
use crate::connection::{BroadcastLog, Link};
use crate::sync::{read, write};

pub(super) type ById = HashMap<ClientId, Arc<ConnectedClient>, FixedState>;

/// Clients, and the short broadcasts to them.
// One type, so that the code of a broadcast is there once: as a trait of all clients and of groups it costs a broadcast
// to 64 clients 4 % more instructions.
#[derive(Default)]
pub(super) struct Recipients {
    /// Locked to look up, add and remove, and to read while a short message is queued and for the length of a broadcast.
    connected: RwLock<ById>,
    /// Of its own, so that the broadcasts to these clients follow each other, whatever others are sent.
    log: BroadcastLog,
}

impl Recipients {
    pub(super) fn log(&self) -> &BroadcastLog {
        &self.log
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, ById> {
        read(&self.connected)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, ById> {
        write(&self.connected)
    }

    /// How many they are. Clients that take no more messages may be among them.
    pub(super) fn len(&self) -> usize {
        self.read().len()
    }

    /// One of them, if it takes messages. A client that has left takes none, though its last messages may still be
    /// dispatched.
    pub(super) fn get(&self, id: ClientId) -> Option<Arc<ConnectedClient>> {
        self.read().get(&id).filter(|client| !client.link.outbox.has_ended()).map(Arc::clone)
    }

    /// What `with` makes of the link of one of them, if it takes messages.
    #[inline]
    pub(super) fn with_link<R>(&self, id: ClientId, with: impl FnOnce(&Link) -> R) -> Option<R> {
        self.read().get(&id).map(|client| &client.link).filter(|link| !link.outbox.has_ended()).map(with)
    }

    /// Calls `with` for every one that takes messages.
    pub(super) fn for_each(&self, mut with: impl FnMut(ClientId, &Arc<ConnectedClient>)) {
        for (id, client) in self.read().iter().filter(|(_, client)| !client.link.outbox.has_ended()) {
            with(*id, client);
        }
    }
}

impl AsRef<Self> for Recipients {
    fn as_ref(&self) -> &Self {
        self
    }
}
