//! Groups of a server's clients: which client is in which group, and broadcasts to the members of one.
//!
//! A group is a table of its members, found by its name. The table is made for the first member and dropped with the
//! last, so a group without members takes no memory. Each client has the list of its groups, so that it leaves them
//! with its connection at no cost for groups that it is not in.
//!
//! # The locks
//!
//! They are taken in this order, and none is held while anything waits or code of the user runs:
//!
//! 1. the list of a client's groups, held through a join or a leave of that client;
//! 2. the table of the groups' names: to read while a member is added to a group that exists, to write while a group is
//!    made or dropped. So no member is added to a group that is being dropped;
//! 3. the table of a group's members, to read for the length of a broadcast.
//!
//! A client that has left all its groups has no list any more, so a join that runs beside the end of its connection
//! either comes before, and is undone, or finds no list, and joins nothing.

#[cfg(feature = "nats")]
pub(crate) mod cluster;
mod describe;
mod handle;
mod members;
mod name;
mod send;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use self::members::Members;
use self::name::GroupName;
use super::clients::ConnectedClient;
use crate::client_id::ClientId;
use crate::error::GroupError;
use crate::limits::MAX_GROUPS;
use crate::sync::{lock, read, write};

pub use self::handle::ClientGroup;

/// All groups of a server.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The groups that have members. The names may be made up by clients, so the hashes have a random seed.
    by_name: RwLock<HashMap<Arc<str>, Arc<Members>>>,
    /// How many members all groups have together.
    memberships: AtomicU64,
    #[cfg(feature = "nats")]
    watchers: cluster::Watchers,
}

/// The groups of one client; none of them once its connection has ended.
#[derive(Debug)]
pub(super) struct Memberships(Option<Vec<Arc<Members>>>);

impl Default for Memberships {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Groups {
    /// Adds a client to a group, and says whether it is a member now. It is none if its connection has ended.
    fn join(
        &self,
        name: &GroupName,
        id: ClientId,
        client: &Arc<ConnectedClient>,
    ) -> Result<bool, GroupError> {
        let name = name.valid().ok_or_else(|| name.too_long(id))?;
        let mut memberships = lock(&client.memberships);
        let Some(groups) = &mut memberships.0 else { return Ok(false) };
        if groups.iter().any(|members| members.is_of(name)) {
            return Ok(true);
        }
        if groups.len() >= MAX_GROUPS {
            let (group, limit) = (name.to_string(), MAX_GROUPS);
            return Err(GroupError::TooManyGroups { group, client_id: id, limit });
        }
        groups.push(self.add(name, id, client));
        self.memberships.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(client = id.get(), group = &**name, "a client joined a group");
        Ok(true)
    }

    fn add(&self, name: &Arc<str>, id: ClientId, client: &Arc<ConnectedClient>) -> Arc<Members> {
        // Under the lock of the names, so that the group is not dropped meanwhile.
        if let Some(members) = read(&self.by_name).get(name) {
            members.add(id, client);
            return Arc::clone(members);
        }
        let mut by_name = write(&self.by_name);
        let members = by_name.entry(Arc::clone(name)).or_insert_with(|| {
            #[cfg(feature = "nats")]
            self.watchers.made(name);
            Arc::new(Members::of(name))
        });
        members.add(id, client);
        Arc::clone(members)
    }

    /// Removes a client from a group, and says whether it was a member.
    fn leave(&self, name: &GroupName, id: ClientId, client: &ConnectedClient) -> bool {
        let Some(name) = name.valid() else { return false };
        let mut memberships = lock(&client.memberships);
        let Some(groups) = &mut memberships.0 else { return false };
        // A client is in few groups, and in no more than the limit: looking through their list takes a microsecond.
        let Some(at) = groups.iter().position(|members| members.is_of(name)) else { return false };
        let members = groups.swap_remove(at);
        if groups.len() < groups.capacity() / 4 {
            groups.shrink_to(groups.len() * 2);
        }
        self.remove(&members, id);
        tracing::debug!(client = id.get(), group = &**name, "a client left a group");
        true
    }

    /// Removes a client whose connection has ended from all its groups. It joins none any more.
    pub(super) fn leave_all(&self, id: ClientId, client: &ConnectedClient) {
        let left = lock(&client.memberships).0.take();
        for members in left.into_iter().flatten() {
            self.remove(&members, id);
        }
    }

    fn remove(&self, members: &Arc<Members>, id: ClientId) {
        self.memberships.fetch_sub(1, Ordering::Relaxed);
        if !members.remove(id) {
            return;
        }
        let mut by_name = write(&self.by_name);
        let name = members.name();
        // Meanwhile a client may have joined, or the group have been dropped by another client and made anew.
        if members.is_empty() && by_name.get(name).is_some_and(|current| Arc::ptr_eq(current, members)) {
            by_name.remove(name);
            #[cfg(feature = "nats")]
            self.watchers.dropped(name);
            shrink(&mut by_name);
        }
    }

    /// The members of a group.
    fn members(&self, name: &GroupName) -> Arc<Members> {
        let found = name.valid().and_then(|name| read(&self.by_name).get(name).map(Arc::clone));
        found.unwrap_or_default()
    }
}

/// Gives back the memory of a table that has become much smaller.
fn shrink<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.len() < table.capacity() / 4 {
        table.shrink_to(table.len() * 2);
    }
}
