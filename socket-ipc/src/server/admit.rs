//! A connection from its admission to the report of its end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

use super::state::{ConnectedClient, Phase, State};
use crate::client_id::ClientId;
use crate::connection::{Limits, Link, Outbox, PendingRequests, Session, Transport};
use crate::error::Error;
use crate::events::CloseCause;
use crate::sync::write;
use crate::unix_socket::group::is_member;
use crate::unix_socket::peer::Peer;

impl State {
    /// Whether the options say who may connect.
    fn restricts(&self) -> bool {
        self.options.allowed_users.is_some() || self.options.allowed_groups.is_some()
    }

    fn is_allowed_user(&self, peer: Peer) -> bool {
        self.options.allowed_users.as_ref().is_some_and(|allowed| allowed.contains(&peer.uid))
    }

    /// Whether a peer is let in for a group of its user. Only a peer that is not let in for its user is worth the request.
    pub(super) async fn is_of_allowed_group(&self, peer: Option<Peer>) -> bool {
        let (Some(peer), Some(groups)) = (peer, self.allowed_groups.get()) else { return false };
        if groups.is_empty() || self.is_allowed_user(peer) {
            return false;
        }
        if groups.contains(&peer.gid) {
            return true;
        }
        // The tables may be files, or a server elsewhere.
        let groups = groups.clone();
        tokio::task::spawn_blocking(move || is_member(peer.uid, &groups)).await.unwrap_or(false)
    }

    /// Lets a connection in, and attends to it in a task of its own. `of_group` says that it comes for a group of its user.
    ///
    /// # Errors
    ///
    /// What speaks against it.
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
        // Before anybody is in: closing waits for them on it.
        let _ = self.runtime.set(runtime.clone());
        let Limits { outbox_len, max_requests, .. } = self.options.limits;
        let outbox = Arc::new(Outbox::new(outbox_len, Arc::clone(&self.total)));
        let pending_requests = PendingRequests::new(max_requests, runtime.clone());
        let link = Link { outbox, pending_requests };
        let (announced, reported) = (AtomicBool::new(false), AtomicBool::new(false));
        let member = Arc::new(ConnectedClient { link, peer, task: OnceLock::new(), announced, reported });
        let mut clients = write(&self.clients);
        // Looked at under the lock: closing begins by telling whoever is in here.
        if self.phase() >= Phase::Closing {
            return Ok(None);
        }
        let limit = max_clients(self.options.max_clients, open_files());
        if clients.len() >= limit {
            return Err(Error::TooManyClients { path: self.options.path.clone(), limit });
        }
        let id = ClientId::new(self.next_id.fetch_add(1, Ordering::Relaxed));
        self.metrics.connections.fetch_add(1, Ordering::Relaxed);
        clients.insert(id, Arc::clone(&member));
        let attended = Attended::new(Arc::clone(self), id, Arc::clone(&member));
        drop(clients);
        let span = self.connection_span(id, peer);
        let task = runtime.spawn(attend(attended, stream).instrument(span));
        // Set once, here.
        let _ = member.task.set(task.abort_handle());
        Ok(Some(id))
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
    member: Arc<ConnectedClient>,
}

impl Attended {
    fn new(state: Arc<State>, id: ClientId, member: Arc<ConnectedClient>) -> Self {
        state.attended.fetch_add(1, Ordering::AcqRel);
        Self { state, id, member }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        // Reported before, unless the runtime has gone, and the task with it.
        self.state.report_cut(self.id, &self.member);
        write(&self.state.clients).remove(&self.id);
        if self.state.attended.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.state.nobody_left.notify_waiters();
        }
    }
}

/// The life of one connection: its event, its messages, the event of its end.
async fn attend<S>(attended: Attended, stream: S)
where
    S: Transport,
{
    let Attended { state, id, member } = &attended;
    member.announced.store(true, Ordering::Release);
    state.events.report_connection(*id);
    let link = member.link.clone();
    let reason = Session::new(stream, Arc::clone(state), *id, link, CloseCause::SlowClient).run().await;
    write(&state.clients).remove(id);
    state.report_end(*id, member, &reason);
}

/// How many clients may be connected: what was asked for, but no more than leaves a quarter of the process's
/// open files to everything else.
fn max_clients(asked: usize, open_files: Option<u64>) -> usize {
    let most = open_files.map_or(usize::MAX, |files| usize::try_from(files / 4 * 3).unwrap_or(usize::MAX));
    asked.min(most)
}

/// How many files this process may have open.
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The credentials of whoever made a connection.
pub(super) fn peer_of(stream: &tokio::net::UnixStream) -> io::Result<Peer> {
    stream.peer_cred().map(Peer::from)
}

#[cfg(test)]
mod tests {
    use super::max_clients;

    #[test]
    fn clients_leave_a_quarter_of_the_open_files_to_everything_else() {
        assert_eq!(max_clients(4096, Some(1024)), 768);
        assert_eq!(max_clients(768, Some(1024)), 768);
        assert_eq!(max_clients(767, Some(1024)), 767);
        assert_eq!(max_clients(4096, None), 4096);
    }
}
