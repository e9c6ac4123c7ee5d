//! A connection from its admission to the report of its end.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};

use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

use super::clients::ConnectedClient;
#[cfg(feature = "nats")]
use super::clients::FindOrigin;
use super::state::State;
use crate::client_id::ClientId;
use crate::connection::{Session, Transport};
use crate::endpoint::lifecycle::Phase;
use crate::error::{Error, ListenError};
use crate::unix_socket::group::{Group, is_member};
use crate::unix_socket::peer::Peer;

impl State {
    /// Finds the groups that the options name: notes the groups that are let in, and returns the group of the socket
    /// file.
    pub(super) async fn find_groups(&self) -> Result<Option<u32>, ListenError> {
        let id = async |group: &Group| {
            let failed = |cause| ListenError::Group {
                path: self.options.path.clone(),
                group: group.to_string(),
                cause,
            };
            group.id().await.map_err(|cause| failed(Some(cause)))?.ok_or_else(|| failed(None))
        };
        if let Some(groups) = &self.options.allowed_groups {
            let mut ids = Vec::with_capacity(groups.len());
            for group in groups {
                ids.push(id(group).await?);
            }
            let _ = self.allowed_groups.set(ids);
        }
        match &self.options.group {
            Some(group) => id(group).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the options say which users may connect.
    fn restricts(&self) -> bool {
        self.options.allowed_users.is_some() || self.options.allowed_groups.is_some()
    }

    fn is_allowed_user(&self, peer: Peer) -> bool {
        self.options.allowed_users.as_ref().is_some_and(|allowed| allowed.contains(&peer.uid))
    }

    /// Whether a peer is let in because its user is in an allowed group. `false` if the user itself is allowed.
    pub(super) async fn is_of_allowed_group(&self, peer: Option<Peer>) -> bool {
        let (Some(peer), Some(groups)) = (peer, self.allowed_groups.get()) else { return false };
        if groups.is_empty() || self.is_allowed_user(peer) {
            return false;
        }
        if groups.contains(&peer.gid) {
            return true;
        }
        // Looking up the groups may read files, or ask a server on the network.
        let groups = groups.clone();
        tokio::task::spawn_blocking(move || is_member(peer.uid, &groups)).await.unwrap_or(false)
    }

    /// Lets a connection in, and runs it in a task of its own. `of_group` says that its user is in an allowed group.
    ///
    /// # Errors
    ///
    /// Why the connection is not let in.
    pub(super) fn admit<S>(
        self: &Arc<Self>,
        stream: S,
        peer: Option<Peer>,
        of_group: bool,
    ) -> Result<Option<ClientId>, Error>
    where
        S: Transport + Send,
    {
        if self.restricts() && !of_group && !peer.is_some_and(|peer| self.is_allowed_user(peer)) {
            return Err(Error::UserNotAllowed { path: self.options.path.clone(), peer });
        }
        let runtime = Handle::current();
        // Set before the client is added: closing waits for the client on this runtime.
        let _ = self.core.runtime.set(runtime.clone());
        let client = ConnectedClient::new(self.core.new_link(&self.options.limits, runtime.clone()), peer);
        let mut clients = self.clients.lock();
        // Checked under the lock: closing begins by telling the clients that are in the table.
        if self.core.lifecycle.phase() >= Phase::Closing {
            return Ok(None);
        }
        let limit = max_clients(self.options.max_clients, open_files());
        // An end that no stream of `events` has room for counts as a client: else clients that come and go could fill the
        // memory of a program that does not read.
        if clients.len().saturating_add(self.ends_without_room.load(Ordering::Relaxed)) >= limit {
            return Err(Error::TooManyClients { path: self.options.path.clone(), limit });
        }
        let id = self.clients.next_id();
        self.core.metrics.connections.fetch_add(1, Ordering::Relaxed);
        clients.insert(id, Arc::clone(&client));
        let attended = Attended::new(Arc::clone(self), id, Arc::clone(&client));
        drop(clients);
        let span = self.connection_span(id, peer);
        let task = runtime.spawn(attend(attended, stream).instrument(span));
        // Set once, here.
        let _ = client.task.set(task.abort_handle());
        Ok(Some(id))
    }

    /// Lets a connection in memory in, over which requests from other machines come. It is no client: it is in no list,
    /// gets no broadcast, and is reported by no event. `origin` finds where each request comes from. `None` where the
    /// server closes.
    #[cfg(feature = "nats")]
    pub(super) fn admit_remote<S>(self: &Arc<Self>, stream: S, origin: Arc<FindOrigin>) -> Option<ClientId>
    where
        S: Transport + Send,
    {
        let runtime = Handle::current();
        let _ = self.core.runtime.set(runtime.clone());
        let client = ConnectedClient::new(self.core.new_link(&self.options.limits, runtime.clone()), None);
        let mut remote = self.clients.lock_remote();
        // Checked under the lock: closing begins by telling the clients that are in the table.
        if self.core.lifecycle.phase() >= Phase::Closing {
            return None;
        }
        let id = self.clients.next_remote_id();
        remote.insert(id, Arc::clone(&client));
        self.clients.note_origin(id, origin);
        let attended = Attended::new(Arc::clone(self), id, Arc::clone(&client));
        drop(remote);
        let span = self.connection_span(id, None);
        let attend = async move {
            let Attended { state, id, client } = &attended;
            let (state, link) = (Arc::clone(state), client.link.clone());
            // Its end is not reported: the other end of the stream in memory notices it.
            Session::new(stream, state, *id, link).run().await;
        };
        let task = runtime.spawn(attend.instrument(span));
        // Set once, here.
        let _ = client.task.set(task.abort_handle());
        Some(id)
    }

    fn connection_span(&self, id: ClientId, peer: Option<Peer>) -> Span {
        let (user, process) = (peer.map(|peer| peer.uid), peer.and_then(|peer| peer.pid));
        tracing::debug_span!(parent: self.span(), "connection", client = id.get(), user, process)
    }
}

/// A connection from its admission to the report of its end, however its task ends.
struct Attended {
    state: Arc<State>,
    id: ClientId,
    client: Arc<ConnectedClient>,
}

impl Attended {
    fn new(state: Arc<State>, id: ClientId, client: Arc<ConnectedClient>) -> Self {
        state.clients.attend();
        Self { state, id, client }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        // The end has been reported, unless the runtime has ended and dropped the task.
        self.state.report_abort(self.id, &self.client);
        self.state.clients.remove(self.id);
        self.state.clients.leave();
    }
}

/// Runs one connection: reports it, dispatches its messages, and reports its end.
fn attend<S>(attended: Attended, stream: S) -> impl Future<Output = ()>
where
    S: Transport,
{
    // Not an `async fn`: its future would have room for the stream and for `attended` twice.
    let Attended { state, id, client } = &attended;
    let link = client.link.clone();
    let session = Session::new(stream, Arc::clone(state), *id, link);
    // In this order: the session gives up what it holds before the end is reported.
    let mut running = (session.run(), attended);
    poll_fn(move |cx| {
        let (session, Attended { state, id, client }) = &mut running;
        if !client.announced.load(Ordering::Relaxed) {
            client.announced.store(true, Ordering::Release);
            if let Some(wait) = state.core.events.report_connection(*id) {
                session.hold(wait);
            }
        }
        let reason = ready!(Pin::new(session).poll(cx));
        state.clients.remove(*id);
        state.report_end(*id, client, &reason);
        Poll::Ready(())
    })
}

/// How many clients may be connected: at most the option, and at most three quarters of the files that the process may
/// have open.
fn max_clients(option: usize, open_files: Option<u64>) -> usize {
    let most = open_files.map_or(usize::MAX, |files| usize::try_from(files / 4 * 3).unwrap_or(usize::MAX));
    option.min(most)
}

/// How many files this process may have open.
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The credentials of the process that made a connection.
pub(super) fn peer_of(stream: &tokio::net::UnixStream) -> io::Result<Peer> {
    stream.peer_cred().map(Peer::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection takes little memory, and this is the largest part of it. Its task has 128 bytes beside, and is
    /// allocated in steps of 128.
    #[test]
    fn session_takes_no_more_than_600_bytes() {
        let size = size_of::<Session<tokio::net::UnixStream, State>>();
        assert!(size <= 600, "{size}");
    }

    #[test]
    fn max_clients_many_wanted_leaves_a_quarter_of_open_files() {
        assert_eq!(max_clients(4096, Some(1024)), 768);
        assert_eq!(max_clients(768, Some(1024)), 768);
        assert_eq!(max_clients(767, Some(1024)), 767);
        assert_eq!(max_clients(4096, None), 4096);
    }
}
