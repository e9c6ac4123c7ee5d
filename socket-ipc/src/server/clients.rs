//! The clients that are connected to a server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, RwLockWriteGuard};

use foldhash::fast::FixedState;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::groups::Memberships;
use super::recipients::{Recipients, for_each_in};
use crate::client_id::ClientId;
use crate::connection::{BroadcastLog, Link, Outbox};
use crate::sync::{read, write};
use crate::unix_socket::peer::Peer;

pub(super) type ById = HashMap<ClientId, Arc<ConnectedClient>, FixedState>;

pub(super) struct Clients {
    /// Locked only to look up, add and remove.
    connected: RwLock<ById>,
    /// The connections in memory over which requests from other machines come. They are no clients: nothing is sent to
    /// them but replies.
    #[cfg(feature = "nats")]
    remote: RwLock<ById>,
    #[cfg(feature = "nats")]
    next_remote: AtomicU64,
    next_id: AtomicU64,
    /// Connections that have not reported their end.
    attended: AtomicUsize,
    /// Tells the task that closes the server that the last connection has reported its end.
    none_left: Notify,
    log: BroadcastLog,
}

/// One connected client.
pub(super) struct ConnectedClient {
    pub(super) link: Link,
    pub(super) peer: Option<Peer>,
    pub(super) task: OnceLock<AbortHandle>,
    /// Whether the connection has been reported.
    pub(super) announced: AtomicBool,
    /// Whether the end of the connection has been reported.
    pub(super) reported: AtomicBool,
    /// The groups that it is in.
    pub(super) memberships: Mutex<Memberships>,
}

impl ConnectedClient {
    pub(super) fn new(link: Link, peer: Option<Peer>) -> Arc<Self> {
        let (announced, reported) = (AtomicBool::new(false), AtomicBool::new(false));
        let (task, memberships) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { link, peer, task, announced, reported, memberships })
    }
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            connected: RwLock::default(),
            #[cfg(feature = "nats")]
            remote: RwLock::default(),
            #[cfg(feature = "nats")]
            next_remote: AtomicU64::new(1),
            next_id: AtomicU64::new(1),
            attended: AtomicUsize::new(0),
            none_left: Notify::new(),
            log: BroadcastLog::default(),
        }
    }

    /// A client that takes messages. A client that has left takes none, though its last messages may still be
    /// dispatched.
    pub(super) fn get(&self, id: ClientId) -> Option<Arc<ConnectedClient>> {
        read(&self.connected).get(&id).filter(|client| !client.link.outbox.has_ended()).map(Arc::clone)
    }

    pub(super) fn outbox(&self, id: ClientId) -> Option<Arc<Outbox>> {
        #[cfg(feature = "nats")]
        if id.is_remote() {
            return read(&self.remote).get(&id).map(|client| Arc::clone(&client.link.outbox));
        }
        read(&self.connected).get(&id).map(|client| Arc::clone(&client.link.outbox))
    }

    pub(super) fn peer(&self, id: ClientId) -> Option<Peer> {
        read(&self.connected).get(&id).and_then(|client| client.peer)
    }

    /// All clients, including clients that take no more messages, and the connections from other machines.
    pub(super) fn all(&self) -> Vec<(ClientId, Arc<ConnectedClient>)> {
        let all = |table: &RwLock<ById>| -> Vec<_> {
            read(table).iter().map(|(id, client)| (*id, Arc::clone(client))).collect()
        };
        #[cfg(feature = "nats")]
        return [all(&self.connected), all(&self.remote)].concat();
        #[cfg(not(feature = "nats"))]
        all(&self.connected)
    }

    pub(super) fn take_all(&self) -> impl Iterator<Item = Arc<ConnectedClient>> {
        let clients = std::mem::take(&mut *write(&self.connected)).into_values();
        #[cfg(feature = "nats")]
        return clients.chain(std::mem::take(&mut *write(&self.remote)).into_values());
        #[cfg(not(feature = "nats"))]
        clients
    }

    pub(super) fn remove(&self, id: ClientId) {
        #[cfg(feature = "nats")]
        if id.is_remote() {
            write(&self.remote).remove(&id);
            return;
        }
        write(&self.connected).remove(&id);
    }

    /// Locks the table of the connections from other machines, to add one.
    #[cfg(feature = "nats")]
    pub(super) fn lock_remote(&self) -> RwLockWriteGuard<'_, ById> {
        write(&self.remote)
    }

    /// Locks the table, to add a client.
    pub(super) fn lock(&self) -> RwLockWriteGuard<'_, ById> {
        write(&self.connected)
    }

    pub(super) fn next_id(&self) -> ClientId {
        ClientId::new(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    #[cfg(feature = "nats")]
    pub(super) fn next_remote_id(&self) -> ClientId {
        ClientId::remote(self.next_remote.fetch_add(1, Ordering::Relaxed))
    }

    /// Notes a connection that will report its end.
    pub(super) fn attend(&self) {
        self.attended.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a connection has reported its end.
    pub(super) fn leave(&self) {
        if self.attended.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_left.notify_waiters();
        }
    }

    /// Whether every connection has reported its end.
    pub(super) fn have_left(&self) -> bool {
        self.attended.load(Ordering::Acquire) == 0
    }

    /// Waits until every connection has reported its end.
    pub(super) async fn all_left(&self) {
        loop {
            let mut left = std::pin::pin!(self.none_left.notified());
            left.as_mut().enable();
            if self.have_left() {
                return;
            }
            left.await;
        }
    }
}

impl Recipients for Clients {
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
