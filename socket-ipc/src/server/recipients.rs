//! The clients that a broadcast is for: all of a server, or the members of a group.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, RwLock};

use super::clients::ConnectedClient;
use crate::client_id::ClientId;
use crate::connection::BroadcastLog;
use crate::sync::read;

pub(super) trait Recipients: Sized {
    /// Where the short broadcasts to them are kept.
    fn log(&self) -> &BroadcastLog;

    /// How many they are. Clients that take no more messages may be among them.
    fn len(&self) -> usize;

    /// Calls `with` for every one that takes messages.
    fn for_each(&self, with: impl FnMut(ClientId, &Arc<ConnectedClient>));
}

/// Calls `with` for every client of a table that takes messages.
pub(super) fn for_each_in<S: BuildHasher>(
    table: &RwLock<HashMap<ClientId, Arc<ConnectedClient>, S>>,
    mut with: impl FnMut(ClientId, &Arc<ConnectedClient>),
) {
    for (id, client) in read(table).iter().filter(|(_, client)| !client.link.outbox.has_ended()) {
        with(*id, client);
    }
}
