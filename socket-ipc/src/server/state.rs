//! What a server, its handles and its connections share: who is connected, and whether the server still
//! lives.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use foldhash::fast::FixedState;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tracing::Span;

use super::events::Events;
use crate::client_id::ClientId;
use crate::connection::{
    BroadcastLog, CloseCommand, EndpointState, InboxBudget, Limits, Link, Outbox, OutboxBudget,
};
use crate::endpoint::options::ServerOptions;
use crate::error::{Error, ListenError, MessageError};
use crate::events::{CloseCause, CloseReason};
use crate::listener::{DropReport, ListenerId};
use crate::metrics::Metrics;
use crate::metrics::stats::Stats;
use crate::router::{Detach, Router};
use crate::sync::{lock, read, write};
use crate::unix_socket::group::Group;
use crate::unix_socket::peer::Peer;
use crate::unix_socket::socket_file::{self, Look, SocketFile};
use crate::wire::RequestId;

/// How long after the drain a connection that is stuck in a listener is still waited for.
const OVERDUE: Duration = Duration::from_millis(100);

/// Where in its life a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Idle,
    Starting,
    Listening,
    Closing,
    /// All connections have ended; `on_close` is being reported.
    Reporting,
    Closed,
}

pub(super) struct State {
    pub(super) options: ServerOptions,
    pub(super) router: Router<ClientId>,
    pub(super) events: Events,
    pub(super) total: Arc<OutboxBudget>,
    pub(super) broadcasts: BroadcastLog,
    inbox: Arc<InboxBudget>,
    pub(super) metrics: Arc<Metrics>,
    /// What happens on behalf of this server happens in it, from when it has begun to serve.
    pub(super) span: OnceLock<Span>,
    pub(super) phase: watch::Sender<Phase>,
    /// Whoever is connected. Held only to look up, add and remove.
    pub(super) clients: RwLock<HashMap<ClientId, Arc<ConnectedClient>, FixedState>>,
    pub(super) next_id: AtomicU64,
    /// Connections that have not reported their end.
    pub(super) attended: AtomicUsize,
    /// Tells the closing that the last of them has.
    pub(super) nobody_left: Notify,
    /// What `close` spawns on: it may be called where there is no runtime.
    pub(super) runtime: OnceLock<Handle>,
    /// The socket that somebody else has bound, until the server listens on it.
    inherited: Mutex<Option<UnixListener>>,
    /// The path, while the server listens on one.
    socket: Mutex<Option<SocketFile>>,
    /// The groups that are let in, by number, from when the server begins to listen.
    pub(super) allowed_groups: OnceLock<Vec<u32>>,
    /// The process that listens. A child that it forks has a copy of everything here, and of nothing the only one.
    process: OnceLock<u32>,
    accepting: Mutex<Option<AbortHandle>>,
}

/// One connected client.
pub(super) struct ConnectedClient {
    pub(super) link: Link,
    pub(super) peer: Option<Peer>,
    pub(super) task: OnceLock<AbortHandle>,
    /// Whether it has been reported, and whether its end has.
    pub(super) announced: AtomicBool,
    pub(super) reported: AtomicBool,
}

impl EndpointState for State {
    type From = ClientId;

    fn router(&self) -> &Router<ClientId> {
        &self.router
    }

    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn inbox(&self) -> &Arc<InboxBudget> {
        &self.inbox
    }

    fn user_of(&self, from: ClientId) -> Option<u32> {
        read(&self.clients).get(&from).and_then(|member| member.peer).map(|peer| peer.uid)
    }

    fn message_error(&self, error: MessageError, from: ClientId) {
        self.metrics.message_errors.fetch_add(1, Ordering::Relaxed);
        self.events.report_message_error(&error, from);
    }

    fn listener_panicked(&self, heard: String, from: ClientId, panic: String) {
        self.events.report_panic(&heard, Some(from), panic);
    }

    fn error(&self, error: Error) {
        self.events.report_error(&error);
    }

    fn late_reply(&self, re: &RequestId, topic: &str, from: ClientId) {
        self.metrics.late_replies.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(client = from.get(), %re, topic, "a reply came that nobody waits for");
    }
}

impl Detach for State {
    fn detach(self: Arc<Self>, listener: ListenerId) {
        self.off(listener);
    }
}

/// Has every connection look at the table of listeners when it is dropped, which a runtime that is gone does, too.
struct Sweep(Weak<State>);

impl Drop for Sweep {
    fn drop(&mut self) {
        if let Some(state) = self.0.upgrade() {
            state.sweep();
        }
    }
}

impl State {
    /// Removes a listener, of messages or of an event; says whether it was there.
    pub(super) fn off(self: &Arc<Self>, listener: ListenerId) -> bool {
        if !self.router.off(listener) {
            return self.events.off(listener);
        }
        // What it owns goes once no connection has a table with it any more. Those that are idle look at a newer one only when
        // they are woken, all of them once for all that are removed by then.
        if self.router.begin_sweep() {
            match self.runtime.get() {
                Some(runtime) => {
                    let sweep = Sweep(Arc::downgrade(self));
                    runtime.spawn(async move { drop(sweep) });
                }
                // There was no connection yet.
                None => self.sweep(),
            }
        }
        true
    }

    /// Has every connection look at the table of listeners.
    fn sweep(&self) {
        self.router.sweep();
        let outboxes: Vec<_> =
            read(&self.clients).values().map(|member| Arc::clone(&member.link.outbox)).collect();
        outboxes.iter().for_each(|outbox: &Arc<Outbox>| outbox.rouse());
    }

    pub(super) fn new(options: ServerOptions, inherited: Option<UnixListener>) -> Arc<Self> {
        let Limits { wire, max_message_len, max_topic_len, raw_len, .. } = options.limits;
        let (metrics, report) = (Metrics::new(), DropReport::default());
        let state = Arc::new(Self {
            router: Router::new(wire, max_topic_len, raw_len, Arc::clone(&metrics), report.clone()),
            events: Events::new(&report),
            total: OutboxBudget::new(options.outbox_total_len),
            broadcasts: BroadcastLog::default(),
            inbox: InboxBudget::new(options.inbox_total_len, max_message_len),
            metrics,
            span: OnceLock::new(),
            phase: watch::Sender::new(Phase::Idle),
            clients: RwLock::default(),
            next_id: AtomicU64::new(1),
            attended: AtomicUsize::new(0),
            nobody_left: Notify::new(),
            runtime: OnceLock::new(),
            inherited: Mutex::new(inherited),
            socket: Mutex::new(None),
            allowed_groups: OnceLock::new(),
            process: OnceLock::new(),
            accepting: Mutex::new(None),
            options,
        });
        let reporting = Arc::downgrade(&state);
        report.set(move |listens_for, panic| match reporting.upgrade() {
            Some(state) => state.events.report_panic(listens_for, None, panic),
            None => tracing::error!(panic, "a listener of {listens_for} panicked as it was dropped"),
        });
        state
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Changes the phase if it is one of those `from`; says whether it was.
    pub(super) fn advance(&self, from: &[Phase], to: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let fits = from.contains(phase);
            if fits {
                *phase = to;
            }
            fits
        })
    }

    /// The span of this server.
    pub(super) fn span(&self) -> &Span {
        self.span.get_or_init(|| tracing::info_span!("server", path = %self.options.path.display()))
    }

    // Who is connected

    pub(super) fn member(&self, id: ClientId) -> Option<Arc<ConnectedClient>> {
        // A client that has left is no longer there, though its last messages may still be being heard.
        read(&self.clients).get(&id).filter(|member| !member.link.outbox.has_ended()).map(Arc::clone)
    }

    /// Calls `with` for every client that is connected.
    pub(super) fn for_each(&self, mut with: impl FnMut(ClientId, &Arc<ConnectedClient>)) {
        for (id, member) in read(&self.clients).iter().filter(|(_, member)| !member.link.outbox.has_ended()) {
            with(*id, member);
        }
    }

    /// What replies go into; `None` once the connection is gone.
    pub(super) fn reply_outbox(&self, id: ClientId) -> Option<Arc<Outbox>> {
        // One that takes no more messages still takes the replies to what was asked before.
        read(&self.clients).get(&id).map(|member| Arc::clone(&member.link.outbox))
    }

    /// What has been counted.
    pub(super) fn stats(&self) -> Stats {
        let mut connected = 0;
        self.for_each(|_, _| connected += 1);
        self.metrics.stats(connected, self.total.queued(), self.total.most())
    }

    // Listening

    /// The socket that somebody else has bound, if there is one; it stays for another attempt.
    pub(super) fn inherited(&self) -> io::Result<Option<UnixListener>> {
        lock(&self.inherited).as_ref().map(UnixListener::try_clone).transpose()
    }

    /// Notes what the server listens with. `false`, and everything undone, if it was closed meanwhile.
    pub(super) fn started(&self, socket: Option<SocketFile>, accepting: AbortHandle) -> bool {
        let _ = self.runtime.set(Handle::current());
        let _ = self.process.set(std::process::id());
        drop(lock(&self.inherited).take());
        *lock(&self.socket) = socket;
        *lock(&self.accepting) = Some(accepting);
        let started = self.advance(&[Phase::Starting], Phase::Listening);
        if !started {
            self.stop_accepting();
            drop(lock(&self.socket).take());
        }
        started
    }

    /// Finds the groups that the options name: notes those that are let in, and returns that of the socket file.
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

    /// Looks whether clients still find the socket file, if the server has one.
    pub(super) fn look_at_socket_file(&self) -> io::Result<Look> {
        lock(&self.socket).as_ref().map_or(Ok(Look::InPlace), SocketFile::look)
    }

    /// Binds the path again, whose socket file is gone; `None` on a server that does not listen any more.
    pub(super) async fn bind_again(&self) -> Result<Option<tokio::net::UnixListener>, ListenError> {
        let locked = self.with_socket_file(|file| file.lock_again().map(|_| file.path().to_owned()));
        let Some(path) = locked.transpose()? else { return Ok(None) };
        let dead = socket_file::probe(&path).await?;
        self.with_socket_file(|file| file.listen_again(dead)).transpose()
    }

    /// Holds the lock that others find, while the socket file is where it was: some cleaners of `/tmp` take the lock file,
    /// which nobody writes to, and leave the socket.
    pub(super) fn keep_lock(&self) {
        let path = self.options.path.display();
        match self.with_socket_file(SocketFile::lock_again) {
            Some(Ok(true)) => tracing::warn!(%path, "the lock file was gone, and is made and locked again"),
            Some(Err(error)) => {
                tracing::debug!(%path, %error, "the lock file is gone, and can't be locked again yet")
            }
            Some(Ok(false)) | None => {}
        }
    }

    /// Does something to the socket file of a server that listens. What it does is done before the server closes, or not at
    /// all: closing changes the phase first, and then takes the file.
    fn with_socket_file<T>(&self, with: impl FnOnce(&mut SocketFile) -> T) -> Option<T> {
        let mut socket = lock(&self.socket);
        socket.as_mut().filter(|_| self.phase() == Phase::Listening).map(with)
    }

    /// Whether this is the copy of a listening server in a child that was forked without `exec`.
    fn is_copy(&self) -> bool {
        self.process.get().is_some_and(|process| *process != std::process::id())
    }

    fn stop_accepting(&self) {
        // The file goes before the listener does, so that nobody finds a socket that refuses and takes it for
        // abandoned.
        let removed = lock(&self.socket).as_mut().map_or(Ok(()), SocketFile::remove);
        // Without the lock: this calls listeners.
        if let Err(cause) = removed {
            self.events.report_error(&Error::Remove { path: self.options.path.clone(), cause });
        }
        if let Some(accepting) = lock(&self.accepting).take() {
            accepting.abort();
        }
        // Whoever waits to be accepted is told, though a handle may keep this for long.
        drop(lock(&self.inherited).take());
    }

    // Closing

    /// Begins closing, unless that has begun before.
    pub(super) fn close(self: &Arc<Self>) {
        if self.is_copy() {
            // The connections are those of the parent, which goes on.
            return self.abandon();
        }
        // Before the phase tells anybody: a responder that waits for the close is released where it finds both.
        self.router.close();
        if !self.advance(&[Phase::Idle, Phase::Starting, Phase::Listening], Phase::Closing) {
            return;
        }
        self.stop_accepting();
        let members: Vec<_> = read(&self.clients).values().cloned().collect();
        for member in members {
            member.link.outbox.close(CloseCommand::Drain(CloseCause::Closed));
        }
        let finish = Finish(Arc::clone(self));
        match self.runtime.get() {
            Some(runtime) if self.attended.load(Ordering::Acquire) > 0 => {
                // On a runtime that is gone the task is dropped at once, and what it holds finishes.
                runtime.spawn(drained(finish));
            }
            _ => drop(finish),
        }
    }

    /// Ends everything at once, without a drain and without events. Never waits.
    pub(super) fn abandon(&self) {
        if !self.advance(&[Phase::Idle, Phase::Starting, Phase::Listening], Phase::Closed) {
            // Closed before, or about to be: that goes on by itself.
            return;
        }
        // First, as a connection that is told to end would report it.
        self.router.clear();
        self.events.clear();
        self.stop_accepting();
        drop(lock(&self.socket).take());
        if self.is_copy() {
            // To end a connection would end it for the parent, too.
            return;
        }
        let members = std::mem::take(&mut *write(&self.clients));
        let (mut clients, mut messages, mut bytes) = (0, 0, 0);
        for member in members.into_values() {
            member.link.outbox.close(CloseCommand::Cut(CloseCause::Closed));
            member.link.pending_requests.end(&CloseCause::Closed);
            let unsent = member.link.outbox.give_up(self.options.limits.wire, None);
            clients += usize::from(unsent.messages > 0);
            (messages, bytes) = (messages + unsent.messages, bytes + unsent.bytes);
            if let Some(task) = member.task.get() {
                task.abort();
            }
        }
        if messages > 0 {
            tracing::warn!(
                parent: self.span(), messages, bytes, clients, path = %self.options.path.display(),
                "a server was dropped with messages queued, which are lost: await `close` before"
            );
        }
    }

    /// Reports the end of a connection, once.
    pub(super) fn report_end(&self, id: ClientId, member: &ConnectedClient, reason: &CloseReason) {
        if member.announced.load(Ordering::Acquire) && !member.reported.swap(true, Ordering::AcqRel) {
            self.metrics.ended(reason);
            self.events.report_connection_close(id, reason);
        }
    }

    /// Reports the end of a connection that could not do so itself.
    pub(super) fn report_cut(&self, id: ClientId, member: &ConnectedClient) {
        member.link.pending_requests.end(&CloseCause::Closed);
        let unsent = member.link.outbox.give_up(self.options.limits.wire, None);
        self.report_end(id, member, &CloseReason::cut(CloseCause::Closed, (unsent.messages, unsent.bytes)));
    }
}

/// Waits until every connection has been drained and has reported its end, and then for nobody.
async fn drained(finish: Finish) {
    let state = &finish.0;
    let all_left = async {
        loop {
            let mut left = std::pin::pin!(state.nobody_left.notified());
            left.as_mut().enable();
            if state.attended.load(Ordering::Acquire) == 0 {
                return;
            }
            left.await;
        }
    };
    let patience = state.options.limits.drain.saturating_add(OVERDUE);
    if tokio::time::timeout(patience, all_left).await.is_ok() {
        return;
    }
    // Whoever is left has a listener that blocks its thread or never ends.
    let overdue: Vec<_> = read(&state.clients).iter().map(|(id, member)| (*id, Arc::clone(member))).collect();
    for (id, member) in overdue {
        member.link.outbox.close(CloseCommand::Cut(CloseCause::Closed));
        if let Some(task) = member.task.get() {
            task.abort();
        }
        state.report_cut(id, &member);
    }
}

/// The end of closing, also where the runtime that was to do it has gone.
struct Finish(Arc<State>);

impl Drop for Finish {
    fn drop(&mut self) {
        let state = &self.0;
        // Frees the path.
        drop(lock(&state.socket).take());
        state.router.clear();
        // Whoever waits for the end of closing is told once everybody who listens for it has been.
        if state.advance(&[Phase::Closing], Phase::Reporting) {
            state.events.report_close();
            state.events.clear();
            state.advance(&[Phase::Reporting], Phase::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    #[tokio::test]
    async fn server_that_has_begun_to_close_binds_no_path_again() {
        let directory = std::env::temp_dir().join(format!("socket-ipc-state-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("test.sock");
        let server = Server::builder(&path).watch(None).build();
        server.listen().await.unwrap();
        let state = Arc::clone(&server.handle().state);
        std::fs::remove_file(&path).unwrap();
        // What closing does first; the file is still the server's to bind.
        assert!(state.advance(&[Phase::Listening], Phase::Closing));
        assert!(state.bind_again().await.unwrap().is_none());
        assert!(!path.exists(), "bound again");
        drop(lock(&state.socket).take());
        std::fs::remove_dir(directory).unwrap();
    }
}
