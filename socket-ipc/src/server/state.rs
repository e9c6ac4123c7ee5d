//! What a server, its handles and its connections share.

use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::Span;

use super::clients::{Clients, ConnectedClient};
use super::events::ServerEvents;
use super::groups::Groups;
use super::per_client::PerClients;
use super::socket::Socket;
use crate::client_id::ClientId;
use crate::connection::{CloseCommand, InboxBudget, Limits, Link, Outbox, OutboxBudget, Unsent};
use crate::endpoint::closing::{self, Finish, give_up};
use crate::endpoint::lifecycle::Phase;
use crate::endpoint::options::ServerOptions;
use crate::endpoint::{self, Core, Endpoint};
use crate::error::error_reply::ErrorReply;
use crate::error::{Error, SendError};
use crate::events::{CloseCause, CloseReason};
use crate::metrics::stats::Stats;
use crate::wire::{AttemptKind, Envelope};

pub(super) struct State {
    pub(super) core: Core<ClientId, ServerEvents>,
    pub(super) options: ServerOptions,
    pub(super) clients: Clients,
    pub(super) groups: Groups,
    pub(super) per_clients: PerClients,
    pub(super) socket: Socket,
    /// The groups that are let in, by number, from when the server begins to listen.
    pub(super) allowed_groups: OnceLock<Vec<u32>>,
    /// How many connections have ended whose end waits for room in a stream of `events`.
    pub(super) ends_without_room: Arc<AtomicUsize>,
}

impl Endpoint for State {
    type Peer = ClientId;
    type Events = ServerEvents;
    type Connection = Arc<ConnectedClient>;

    const SLOW_CONSUMER: CloseCause = CloseCause::SlowClient;

    #[inline]
    fn core(&self) -> &Core<ClientId, ServerEvents> {
        &self.core
    }

    #[inline]
    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    #[inline]
    fn authorizes(&self) -> bool {
        self.options.authorize.is_some()
    }

    fn authorize(&self, envelope: &Envelope<'_>, kind: AttemptKind, id: ClientId) -> Result<(), ErrorReply> {
        self.may(envelope, kind, id)
    }

    fn has_one_connection(&self) -> bool {
        self.clients.is_only_one()
    }

    fn user_of(&self, id: ClientId) -> Option<u32> {
        self.clients.peer(id).map(|peer| peer.uid)
    }

    fn connection(&self, id: ClientId) -> Option<Arc<ConnectedClient>> {
        self.clients.get(id)
    }

    #[inline]
    fn link(connection: &Arc<ConnectedClient>) -> &Link {
        &connection.link
    }

    #[inline]
    fn with_link<R>(&self, id: ClientId, with: impl FnOnce(&Link) -> R) -> Option<R> {
        self.clients.with_link(id, with)
    }

    fn unreachable(&self, topic: &str, client_id: ClientId) -> SendError {
        match self.check_open(topic) {
            Err(closed) => closed,
            Ok(()) => SendError::UnknownClient { topic: topic.to_owned(), client_id },
        }
    }

    fn reply_outbox(&self, id: ClientId) -> Option<Arc<Outbox>> {
        self.clients.outbox(id)
    }

    fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.clients.all().into_iter().map(|(_, client)| Arc::clone(&client.link.outbox)).collect()
    }

    fn release(&self) {
        self.socket.free_path();
    }
}

impl State {
    pub(super) fn new(options: ServerOptions, inherited: Option<UnixListener>) -> Arc<Self> {
        let limits = options.limits.clone();
        let outboxes = OutboxBudget::new(options.outbox_total_len);
        let inboxes = InboxBudget::new(options.inbox_total_len, limits.max_message_len);
        endpoint::build(&limits, outboxes, inboxes, |core| Self {
            core,
            options,
            clients: Clients::new(),
            groups: Groups::default(),
            per_clients: PerClients::default(),
            socket: Socket::new(inherited),
            allowed_groups: OnceLock::new(),
            ends_without_room: Arc::default(),
        })
    }

    /// The span of this server.
    pub(super) fn span(&self) -> &Span {
        let path = self.options.path.display();
        self.core.span.get_or_init(|| tracing::info_span!("server", %path))
    }

    /// What has been counted.
    pub(super) fn stats(&self) -> Stats {
        let mut open_connections = 0;
        self.clients.recipients().for_each(|_, _| open_connections += 1);
        let stats = self.core.stats(open_connections, &self.outboxes());
        self.groups.add_to(stats, self.options.describes_groups)
    }

    /// `Err` on a server that is closed or about to be.
    pub(super) fn check_open(&self, topic: &str) -> Result<(), SendError> {
        if self.core.lifecycle.phase() < Phase::Closing {
            return Ok(());
        }
        Err(SendError::Closed { topic: topic.to_owned(), path: self.options.path.clone() })
    }

    /// Begins closing, unless that has begun before.
    pub(super) fn close(self: &Arc<Self>) {
        if self.socket.is_copy() {
            // The connections belong to the parent process, which goes on.
            return self.abandon();
        }
        if closing::begin(&**self).is_none() {
            return;
        }
        self.stop_accepting();
        for (_, client) in self.clients.all() {
            client.link.outbox.close(CloseCommand::Drain(CloseCause::Closed));
        }
        let finish = Finish(Arc::clone(self));
        match self.core.runtime.get() {
            Some(runtime) if !self.clients.have_left() => {
                // On a runtime that is gone the task is dropped at once, and what it holds finishes.
                let state = Arc::clone(self);
                let all_left = async move { state.clients.all_left().await };
                runtime.spawn(closing::finish_after(finish, all_left, Self::abort_connections));
            }
            _ => drop(finish),
        }
    }

    pub(super) fn stop_accepting(&self) {
        if let Err(cause) = self.socket.stop_accepting() {
            self.core.events.report_error(&Error::Remove { path: self.options.path.clone(), cause });
        }
    }

    /// Ends the connections that are left: each has a listener that blocks its thread or never ends.
    fn abort_connections(&self) {
        for (id, client) in self.clients.all() {
            client.link.outbox.close(CloseCommand::Abort(CloseCause::Closed));
            if let Some(task) = client.task.get() {
                task.abort();
            }
            self.report_abort(id, &client);
        }
    }

    /// Ends everything at once, without a drain and without events. Never waits.
    pub(super) fn abandon(&self) {
        if !closing::abandon(self) {
            return;
        }
        self.stop_accepting();
        self.socket.free_path();
        if self.socket.is_copy() {
            // To end a connection would end it for the parent process, too.
            return;
        }
        let (mut clients, mut messages, mut bytes) = (0, 0, 0);
        for client in self.clients.take_all() {
            client.link.outbox.close(CloseCommand::Abort(CloseCause::Closed));
            let unsent = give_up(&client.link, self.options.limits.wire);
            clients += usize::from(unsent.messages > 0);
            (messages, bytes) = (messages + unsent.messages, bytes + unsent.bytes);
            if let Some(task) = client.task.get() {
                task.abort();
            }
        }
        self.forget(None);
        if messages > 0 {
            tracing::warn!(
                parent: self.span(), messages, bytes, clients, path = %self.options.path.display(),
                "a server was dropped with messages queued, which are lost: await `close` before"
            );
        }
    }

    /// Reports the end of a connection, once. The client has left its groups by then.
    pub(super) fn report_end(&self, id: ClientId, client: &ConnectedClient, reason: &CloseReason) {
        self.groups.leave_all(id, client);
        if client.announced.load(Ordering::Acquire) && !client.reported.swap(true, Ordering::AcqRel) {
            self.core.metrics.ended(reason);
            self.core.events.report_connection_close(id, reason);
            // Here, so that the one that reports the end drops the values: there are none before the connection is
            // reported.
            self.forget(Some(id));
        }
    }

    /// Reports the end of a connection that could not do so itself.
    pub(super) fn report_abort(&self, id: ClientId, client: &ConnectedClient) {
        let Unsent { messages, bytes } = give_up(&client.link, self.options.limits.wire);
        self.report_end(id, client, &CloseReason::aborted(CloseCause::Closed, (messages, bytes)));
    }
}
