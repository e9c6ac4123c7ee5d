//! What a client, its handles and its connection share.

#[cfg(feature = "otel")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use tokio::task::AbortHandle;
use tracing::Span;

use super::connector::Connector;
use super::events::ClientEvents;
use crate::connection::{CloseCommand, InboxBudget, Limits, Link, Outbox, OutboxBudget, Unsent};
use crate::endpoint::closing::{self, Finish, give_up};
use crate::endpoint::lifecycle::Phase;
use crate::endpoint::options::ClientOptions;
use crate::endpoint::{self, Core, Endpoint};
use crate::error::SendError;
use crate::events::{CloseCause, CloseReason};
use crate::router::Wait;
use crate::sync::{lock, read, write};

pub(super) struct State {
    pub(super) core: Core<(), ClientEvents>,
    pub(super) options: ClientOptions,
    pub(super) connector: Connector,
    /// The current connection. The code that takes it out reports its end, so that the end is reported once. Behind one
    /// count, as each request and long message takes the link and drops it again.
    pub(super) link: RwLock<Option<Arc<Link>>>,
    /// Whether the server is a process of this process's own user.
    #[cfg(feature = "otel")]
    pub(super) server_is_own: AtomicBool,
    /// The task that keeps the client connected.
    pub(super) keeper: Mutex<Option<AbortHandle>>,
}

impl Endpoint for State {
    type Peer = ();
    type Events = ClientEvents;
    type Connection = Arc<Link>;

    const SLOW_CONSUMER: CloseCause = CloseCause::SlowServer;

    #[inline]
    fn core(&self) -> &Core<(), ClientEvents> {
        &self.core
    }

    #[inline]
    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    #[cfg(feature = "otel")]
    fn is_own_user(&self, (): ()) -> bool {
        self.server_is_own.load(Ordering::Relaxed)
    }

    fn has_one_connection(&self) -> bool {
        true
    }

    fn user_of(&self, (): ()) -> Option<u32> {
        None
    }

    fn connection(&self, (): ()) -> Option<Arc<Link>> {
        self.link()
    }

    #[inline]
    fn link(connection: &Arc<Link>) -> &Link {
        connection
    }

    #[inline]
    fn with_link<R>(&self, (): (), with: impl FnOnce(&Link) -> R) -> Option<R> {
        read(&self.link).as_deref().filter(|link| !link.outbox.has_ended()).map(with)
    }

    fn unreachable(&self, topic: &str, (): ()) -> SendError {
        let (topic, path) = (topic.to_owned(), self.options.path.clone());
        if self.core.lifecycle.phase() < Phase::Closing {
            SendError::NotConnected { topic, path }
        } else {
            SendError::Closed { topic, path }
        }
    }

    fn reply_outbox(&self, (): ()) -> Option<Arc<Outbox>> {
        self.outbox()
    }

    fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.outbox().into_iter().collect()
    }

    fn release(&self) {
        // The runtime is gone, or there will be no other connection.
        self.core.lifecycle.advance(&[Phase::Running], Phase::Closing);
        // If the runtime is gone, so is the connection: nothing more may be queued for it.
        self.report_abort();
    }
}

impl State {
    pub(super) fn new(options: ClientOptions, connector: Connector) -> Arc<Self> {
        let limits = options.limits.clone();
        // A client has one connection at a time, which needs no other bounds than its own.
        let (outboxes, inboxes) = (OutboxBudget::new(usize::MAX), InboxBudget::new(usize::MAX, usize::MAX));
        endpoint::build(&limits, outboxes, inboxes, |core| Self {
            core,
            options,
            connector,
            link: RwLock::new(None),
            #[cfg(feature = "otel")]
            server_is_own: AtomicBool::new(false),
            keeper: Mutex::new(None),
        })
    }

    /// The span of this client.
    pub(super) fn span(&self) -> &Span {
        let path = self.options.path.display();
        self.core.span.get_or_init(|| tracing::info_span!("client", %path))
    }

    /// The connection, while there is one that takes messages.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        read(&self.link).as_ref().filter(|link| !link.outbox.has_ended()).cloned()
    }

    /// The outbox of the connection, also while that takes no more messages.
    pub(super) fn outbox(&self) -> Option<Arc<Outbox>> {
        read(&self.link).as_ref().map(|link| Arc::clone(&link.outbox))
    }

    /// Reports the end of the connection, once. What it returns has to finish before the client connects again.
    pub(super) fn report_end(&self, reason: &CloseReason) -> Option<Wait> {
        // A statement of its own: the lock is not held while listeners are called.
        let link = write(&self.link).take();
        link.and_then(|_| {
            self.core.metrics.ended(reason);
            self.core.events.report_disconnect(reason)
        })
    }

    /// Reports the end of a connection that could not do so itself: it is stuck in a listener, or its runtime is gone.
    fn report_abort(&self) {
        let link = read(&self.link).clone();
        if let Some(link) = link {
            let Unsent { messages, bytes } = give_up(&link, self.options.limits.wire);
            let _ = self.report_end(&CloseReason::aborted(CloseCause::Closed, (messages, bytes)));
        }
    }

    /// Begins closing, unless that has begun before.
    pub(super) fn close(self: &Arc<Self>) {
        match closing::begin(&**self) {
            None => {}
            Some(Phase::Running) => {
                if let Some(link) = &*read(&self.link) {
                    link.outbox.close(CloseCommand::Drain(CloseCause::Closed));
                }
                self.watch_closing();
            }
            Some(_) => drop(Finish(Arc::clone(self))),
        }
    }

    /// Makes closing end even if a listener blocks its thread or never ends, and so keeps the connection from ending.
    pub(super) fn watch_closing(self: &Arc<Self>) {
        let Some(runtime) = self.core.runtime.get() else { return };
        let mut phase = self.core.lifecycle.subscribe();
        let closed = async move {
            let _ = phase.wait_for(|phase| *phase == Phase::Closed).await;
        };
        let abort = |state: &Self| {
            if let Some(keeper) = &*lock(&state.keeper) {
                keeper.abort();
            }
        };
        runtime.spawn(closing::finish_after(Finish(Arc::clone(self)), closed, abort));
    }

    /// Ends everything at once, without a drain and without events. Never waits.
    pub(super) fn abandon(&self) {
        if !closing::abandon(self) {
            return;
        }
        let link = write(&self.link).take();
        if let Some(link) = link {
            link.outbox.close(CloseCommand::Abort(CloseCause::Closed));
            let Unsent { messages, bytes } = give_up(&link, self.options.limits.wire);
            if messages > 0 {
                tracing::warn!(
                    parent: self.span(), messages, bytes, path = %self.options.path.display(),
                    "a client was dropped with messages queued, which are lost: await `flush` or `close` before"
                );
            }
        }
        if let Some(keeper) = lock(&self.keeper).take() {
            keeper.abort();
        }
    }
}
