//! What the nodes of a cluster need of the groups of a server: which have members, and broadcasts that are encoded already.

use std::sync::{Arc, OnceLock, RwLock, Weak};

use super::Groups;
use super::handle::ClientGroup;
use crate::client_id::ClientId;
use crate::error::SendError;
use crate::server::handle::ServerHandle;
use crate::sync::{read, write};
use crate::topic::TopicName;

/// Is told which groups there are. It must neither wait nor call the server: the lock of the names is held.
pub(crate) trait WatchGroups: Send + Sync {
    /// A group has its first member.
    fn made(&self, group: &Arc<str>);
    /// The last member of a group has left.
    fn dropped(&self, group: &Arc<str>);
}

/// Those that are told which groups there are. A server that joined no domain has none.
#[derive(Default)]
pub(super) struct Watchers(OnceLock<RwLock<Vec<Weak<dyn WatchGroups>>>>);

impl Watchers {
    pub(super) fn made(&self, group: &Arc<str>) {
        self.for_each(|watcher| watcher.made(group));
    }

    pub(super) fn dropped(&self, group: &Arc<str>) {
        self.for_each(|watcher| watcher.dropped(group));
    }

    fn for_each(&self, tell: impl Fn(&dyn WatchGroups)) {
        let Some(watchers) = self.0.get() else { return };
        read(watchers).iter().filter_map(Weak::upgrade).for_each(|watcher| tell(&*watcher));
    }
}

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchers")
    }
}

impl Groups {
    /// Tells a watcher of the groups that there are, and from now on of each that comes and goes.
    fn watch(&self, watcher: &Arc<dyn WatchGroups>) {
        // Under the lock of the names: it is told of each group once.
        let by_name = write(&self.by_name);
        by_name.keys().for_each(|group| watcher.made(group));
        let mut watchers = write(self.watchers.0.get_or_init(RwLock::default));
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(watcher));
    }
}

impl<P> ServerHandle<P> {
    /// Tells a watcher which groups have members, until it is dropped.
    pub(crate) fn watch_groups(&self, watcher: &Arc<dyn WatchGroups>) {
        self.state.groups.watch(watcher);
    }
}

impl<P> ClientGroup<P> {
    /// The name, unless it is over the limit and that of no group.
    pub(crate) fn valid_name(&self) -> Option<&Arc<str>> {
        self.name.valid()
    }

    /// Broadcasts a message that [`encode`](ServerHandle::encode) wrote.
    pub(crate) fn broadcast_line(
        &self,
        topic: TopicName<'_>,
        line: &[u8],
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        let state = &self.server.state;
        state.check_open(topic.as_str())?;
        state.broadcast_encoded(self.recipients().clients(), topic, line, except)
    }

    /// The same once there is room.
    pub(crate) async fn broadcast_line_async(
        &self,
        topic: TopicName<'_>,
        line: &[u8],
    ) -> Result<usize, SendError> {
        self.server.state.broadcast_encoded_async(|| self.recipients(), topic, line, None).await
    }
}
