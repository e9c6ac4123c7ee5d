//! What an endpoint shares with its handles and its connections.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tracing::Span;

use super::events::{EventLists, Events};
use super::lifecycle::Lifecycle;
use super::peer_id::PeerId;
use super::unready::Unready;
use crate::client_id::ClientId;
use crate::connection::{
    Cancels, EndpointState, InboxBudget, Limits, Link, Outbox, OutboxBudget, PendingRequests,
};
use crate::error::error_reply::ErrorReply;
use crate::error::{Error, MessageError, SendError};
use crate::events::CloseCause;
use crate::listener::DropReport;
use crate::metrics::Metrics;
use crate::metrics::stats::Stats;
use crate::router::Router;
use crate::wire::{AttemptKind, Envelope, RequestId, Wire};

/// A server or a client: what its handles and its connections share.
pub(crate) trait Endpoint: Send + Sync + Sized + 'static {
    type Peer: PeerId;
    /// The events that the other kind of endpoint does not have.
    type Events: EventLists;
    /// What it keeps of a connection.
    type Connection;

    /// Why a connection ends whose peer takes no bytes.
    const SLOW_CONSUMER: CloseCause;

    fn core(&self) -> &Core<Self::Peer, Self::Events>;
    fn limits(&self) -> &Limits;
    /// Whether a connection of it is the only one.
    fn has_one_connection(&self) -> bool;
    /// The user of a peer, where it is known.
    fn user_of(&self, peer: Self::Peer) -> Option<u32>;
    /// Whether the program decides which messages are dispatched.
    fn authorizes(&self) -> bool {
        false
    }
    /// Asks the program whether a message may be dispatched. `Err` says why not.
    fn authorize(
        &self,
        _envelope: &Envelope<'_>,
        _kind: AttemptKind,
        _from: Self::Peer,
    ) -> Result<(), ErrorReply> {
        Ok(())
    }
    /// Whether a peer is known to be a process of this process's own user.
    #[cfg(feature = "otel")]
    fn is_own_user(&self, peer: Self::Peer) -> bool {
        self.user_of(peer) == Some(rustix::process::geteuid().as_raw())
    }
    /// The connection to a peer, while it takes messages.
    fn connection(&self, peer: Self::Peer) -> Option<Self::Connection>;
    fn link(connection: &Self::Connection) -> &Link;
    /// What `with` makes of the link of the connection to a peer, while it takes messages. Nothing connects or is removed
    /// in the meantime, though the connection may end: `with` has to be short, and calls no code of the user.
    fn with_link<R>(&self, peer: Self::Peer, with: impl FnOnce(&Link) -> R) -> Option<R>;
    /// The error of sending a message of `topic` while no connection takes it.
    fn unreachable(&self, topic: &str, peer: Self::Peer) -> SendError;
    /// The outbox for replies; `None` once the connection is gone. A connection that takes no more messages still takes
    /// the replies to earlier requests.
    fn reply_outbox(&self, peer: Self::Peer) -> Option<Arc<Outbox>>;
    /// The outboxes of all connections.
    fn outboxes(&self) -> Vec<Arc<Outbox>>;
    /// Releases what the endpoint still holds when closing ends, before `on_close` is called.
    fn release(&self);
}

/// What a server and a client both have. `P` names their peers, `E` are the events that only one of them has.
pub(crate) struct Core<P, E> {
    pub(crate) router: Router<P>,
    pub(crate) events: Events<P, E>,
    pub(crate) metrics: Arc<Metrics>,
    /// The budget of the bytes that all its connections have queued.
    pub(crate) outbox_budget: Arc<OutboxBudget>,
    /// The budget of the bytes that all its connections have received.
    pub(crate) inbox_budget: Arc<InboxBudget>,
    pub(crate) lifecycle: Lifecycle,
    /// The peers for which a message was not queued at once.
    pub(crate) unready: Unready,
    /// The wire of its connections, which share it.
    wire: Arc<Wire>,
    /// The span of the endpoint's own work, set when it begins to listen or to connect.
    pub(crate) span: OnceLock<Span>,
    /// The runtime that `close` spawns on, since `close` may be called outside a runtime.
    pub(crate) runtime: OnceLock<Handle>,
}

/// Makes an endpoint. `make` adds the parts that only a server or only a client has.
pub(crate) fn build<E: Endpoint>(
    limits: &Limits,
    outbox_budget: Arc<OutboxBudget>,
    inbox_budget: Arc<InboxBudget>,
    make: impl FnOnce(Core<E::Peer, E::Events>) -> E,
) -> Arc<E> {
    let Limits { wire, max_topic_len, raw_len, .. } = *limits;
    let (metrics, report) = (Metrics::new(), DropReport::default());
    let core = Core {
        router: Router::new(wire, max_topic_len, raw_len, Arc::clone(&metrics), report.clone()),
        events: Events::new(&report),
        metrics,
        outbox_budget,
        inbox_budget,
        lifecycle: Lifecycle::new(),
        unready: Unready::default(),
        wire: Arc::new(wire),
        span: OnceLock::new(),
        runtime: OnceLock::new(),
    };
    let endpoint = Arc::new(make(core));
    let reporting = Arc::downgrade(&endpoint);
    report.set(move |listens_for, panic| match reporting.upgrade() {
        Some(endpoint) => endpoint.core().events.report_panic(listens_for, None, panic),
        None => tracing::error!(panic, "a listener of {listens_for} panicked as it was dropped"),
    });
    endpoint
}

impl<P, E> Core<P, E> {
    /// Makes the link of a new connection.
    pub(crate) fn new_link(&self, limits: &Limits, runtime: Handle) -> Link {
        let (total, metrics) = (Arc::clone(&self.outbox_budget), Arc::clone(&self.metrics));
        let outbox = Arc::new(Outbox::new(limits.outbox_len, total, metrics));
        let cancels = Cancels::new(&outbox, &self.wire);
        Link { pending_requests: PendingRequests::new(limits.max_requests, cancels, runtime), outbox }
    }

    /// What has been counted, where `outboxes` are those of all connections.
    pub(crate) fn stats(&self, open_connections: u64, outboxes: &[Arc<Outbox>]) -> Stats {
        outboxes.iter().for_each(|outbox| outbox.settle());
        let outboxes = &self.outbox_budget;
        self.metrics.stats(open_connections, outboxes.queued(), outboxes.most())
    }
}

impl<E: Endpoint> EndpointState for E {
    type From = E::Peer;

    const SLOW_CONSUMER: CloseCause = E::SLOW_CONSUMER;

    #[inline]
    fn router(&self) -> &Router<E::Peer> {
        &self.core().router
    }

    #[inline]
    fn limits(&self) -> &Limits {
        Endpoint::limits(self)
    }

    #[inline]
    fn metrics(&self) -> &Metrics {
        &self.core().metrics
    }

    #[inline]
    fn inbox(&self) -> &Arc<InboxBudget> {
        &self.core().inbox_budget
    }

    fn has_one_connection(&self) -> bool {
        Endpoint::has_one_connection(self)
    }

    #[inline]
    fn authorizes(&self) -> bool {
        Endpoint::authorizes(self)
    }

    fn authorize(&self, envelope: &Envelope<'_>, kind: AttemptKind, from: E::Peer) -> Result<(), ErrorReply> {
        Endpoint::authorize(self, envelope, kind, from)
    }

    fn user_of(&self, from: E::Peer) -> Option<u32> {
        Endpoint::user_of(self, from)
    }

    #[cfg(feature = "otel")]
    fn is_own_user(&self, from: E::Peer) -> bool {
        Endpoint::is_own_user(self, from)
    }

    fn message_error(&self, error: MessageError, from: E::Peer) {
        self.metrics().message_errors.fetch_add(1, Ordering::Relaxed);
        self.core().events.report_message_error(&error, from);
    }

    fn listener_panicked(&self, listens_for: String, from: E::Peer, panic: String) {
        self.core().events.report_panic(&listens_for, Some(from), panic);
    }

    fn error(&self, error: Error) {
        self.core().events.report_error(&error);
    }

    fn late_reply(&self, re: &RequestId, topic: &str, from: E::Peer) {
        self.metrics().late_replies.fetch_add(1, Ordering::Relaxed);
        let client = from.client_id().map(ClientId::get);
        tracing::debug!(client, %re, topic, "a reply came that no request waits for");
    }
}
