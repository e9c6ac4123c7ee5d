//! The clients that are connected to a server.

#[cfg(feature = "nats")]
use std::collections::HashMap;
#[cfg(feature = "nats")]
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLockWriteGuard};

#[cfg(feature = "nats")]
use foldhash::fast::FixedState;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::groups::Memberships;
use super::recipients::{ById, Recipients};
use crate::client_id::ClientId;
use crate::connection::{Link, Outbox};
#[cfg(feature = "nats")]
use crate::endpoint::origin::Origin;
#[cfg(feature = "nats")]
use crate::sync::{read, write};
use crate::unix_socket::peer::Peer;

/// Finds where the request with a number comes from, and without a number, a message.
#[cfg(feature = "nats")]
pub(super) type FindOrigin = dyn Fn(Option<u64>) -> Option<Origin> + Send + Sync;

pub(super) struct Clients {
    all: Recipients,
    /// The connections in memory over which requests from other machines come. They are no clients: nothing is sent to
    /// them but replies.
    #[cfg(feature = "nats")]
    remote: RwLock<ById>,
    #[cfg(feature = "nats")]
    next_remote: AtomicU64,
    /// Where the requests of these connections come from: one serves many requesters.
    #[cfg(feature = "nats")]
    origins: RwLock<HashMap<ClientId, Arc<FindOrigin>, FixedState>>,
    next_id: AtomicU64,
    /// Connections that have not reported their end.
    attended: AtomicUsize,
    /// Tells the task that closes the server that the last connection has reported its end.
    none_left: Notify,
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

    /// Whether the connection has been reported, and its end has not.
    pub(super) fn is_open(&self) -> bool {
        self.announced.load(Ordering::Acquire) && !self.reported.load(Ordering::Acquire)
    }
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            all: Recipients::default(),
            #[cfg(feature = "nats")]
            remote: RwLock::default(),
            #[cfg(feature = "nats")]
            next_remote: AtomicU64::new(1),
            #[cfg(feature = "nats")]
            origins: RwLock::default(),
            next_id: AtomicU64::new(1),
            attended: AtomicUsize::new(0),
            none_left: Notify::new(),
        }
    }

    /// All clients, for a broadcast.
    pub(super) fn recipients(&self) -> &Recipients {
        &self.all
    }

    /// A client that takes messages. A client that has left takes none, though its last messages may still be
    /// dispatched.
    pub(super) fn get(&self, id: ClientId) -> Option<Arc<ConnectedClient>> {
        self.all.get(id)
    }

    /// What `with` makes of the link of a client that takes messages. Nobody connects or leaves in the meantime.
    #[inline]
    pub(super) fn with_link<R>(&self, id: ClientId, with: impl FnOnce(&Link) -> R) -> Option<R> {
        self.all.with_link(id, with)
    }

    pub(super) fn outbox(&self, id: ClientId) -> Option<Arc<Outbox>> {
        #[cfg(feature = "nats")]
        if id.is_remote() {
            return read(&self.remote).get(&id).map(|client| Arc::clone(&client.link.outbox));
        }
        self.all.read().get(&id).map(|client| Arc::clone(&client.link.outbox))
    }

    pub(super) fn peer(&self, id: ClientId) -> Option<Peer> {
        self.all.read().get(&id).and_then(|client| client.peer)
    }

    /// All clients, including clients that take no more messages, and the connections from other machines.
    pub(super) fn all(&self) -> Vec<(ClientId, Arc<ConnectedClient>)> {
        let all = |clients: &ById| -> Vec<_> {
            clients.iter().map(|(id, client)| (*id, Arc::clone(client))).collect()
        };
        #[cfg(feature = "nats")]
        return [all(&self.all.read()), all(&read(&self.remote))].concat();
        #[cfg(not(feature = "nats"))]
        all(&self.all.read())
    }

    pub(super) fn take_all(&self) -> impl Iterator<Item = Arc<ConnectedClient>> {
        let clients = std::mem::take(&mut *self.all.write()).into_values();
        #[cfg(feature = "nats")]
        return clients.chain(std::mem::take(&mut *write(&self.remote)).into_values());
        #[cfg(not(feature = "nats"))]
        clients
    }

    pub(super) fn remove(&self, id: ClientId) {
        #[cfg(feature = "nats")]
        if id.is_remote() {
            write(&self.remote).remove(&id);
            write(&self.origins).remove(&id);
            return;
        }
        self.all.write().remove(&id);
    }

    /// Notes where the requests of a connection from other machines come from.
    #[cfg(feature = "nats")]
    pub(super) fn note_origin(&self, id: ClientId, origin: Arc<FindOrigin>) {
        write(&self.origins).insert(id, origin);
    }

    /// Where the request with this number comes from, or a message. `None` for a request that nobody waits for any more.
    #[cfg(feature = "nats")]
    pub(super) fn origin(&self, id: ClientId, number: Option<u64>) -> Option<Origin> {
        if !id.is_remote() {
            return Some(Origin::Client);
        }
        let origin = read(&self.origins).get(&id).map(Arc::clone)?;
        origin(number)
    }

    /// Locks the table of the connections from other machines, to add one.
    #[cfg(feature = "nats")]
    pub(super) fn lock_remote(&self) -> RwLockWriteGuard<'_, ById> {
        write(&self.remote)
    }

    /// Locks the table, to add a client.
    pub(super) fn lock(&self) -> RwLockWriteGuard<'_, ById> {
        self.all.write()
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

    /// Whether a connection that has not reported its end is the only one.
    pub(super) fn is_only_one(&self) -> bool {
        self.attended.load(Ordering::Acquire) == 1
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
