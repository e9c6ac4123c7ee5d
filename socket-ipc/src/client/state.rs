//! What a client, its handles and its connection share.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{Instrument as _, Span};

use super::connector::{Connected, Connector, guarded};
use super::events::Events;
use crate::connection::{
    CloseCommand, EndpointState, InboxBudget, Limits, Link, Outbox, OutboxBudget, PendingRequests, Session,
    Transport, Unsent,
};
use crate::endpoint::options::ClientOptions;
use crate::error::{ConnectError, Error, MessageError};
use crate::events::{CloseCause, CloseReason};
use crate::limits::delay::Delay;
use crate::listener::{DropReport, ListenerId};
use crate::metrics::Metrics;
use crate::metrics::stats::Stats;
use crate::router::{Detach, Router};
use crate::sync::{lock, read, write};
use crate::wire::RequestId;

/// How long after the drain a connection that is stuck in a listener is still waited for.
const OVERDUE: Duration = Duration::from_millis(100);

/// Where in its life a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Idle,
    /// Before the first connection: `connect` is at work.
    Connecting,
    /// From the first connection on: the task that keeps it is at work.
    Running,
    Closing,
    /// The connection has ended; `on_close` is being reported.
    Reporting,
    Closed,
}

pub(super) struct State {
    pub(super) options: ClientOptions,
    pub(super) router: Router<()>,
    pub(super) events: Events,
    pub(super) phase: watch::Sender<Phase>,
    connector: Connector,
    /// The connection there is. Whoever takes it reports its end.
    link: RwLock<Option<Link>>,
    pub(super) metrics: Arc<Metrics>,
    /// What happens on behalf of this client happens in it, from when it has begun to connect.
    pub(super) span: OnceLock<Span>,
    /// What its connections have queued, one after the other; nothing bounds it but the bound of each.
    total: Arc<OutboxBudget>,
    /// What they have received; one connection needs no other bound than its own.
    inbox: Arc<InboxBudget>,
    /// What `close` spawns on: it may be called where there is no runtime.
    runtime: OnceLock<Handle>,
    keeper: Mutex<Option<AbortHandle>>,
}

impl EndpointState for State {
    type From = ();

    fn router(&self) -> &Router<()> {
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

    fn user_of(&self, (): ()) -> Option<u32> {
        None
    }

    fn message_error(&self, error: MessageError, (): ()) {
        self.metrics.message_errors.fetch_add(1, Ordering::Relaxed);
        self.events.report_message_error(&error);
    }

    fn listener_panicked(&self, heard: String, (): (), panic: String) {
        self.events.report_panic(&heard, panic);
    }

    fn error(&self, error: Error) {
        self.events.report_error(&error);
    }

    fn late_reply(&self, re: &RequestId, topic: &str, (): ()) {
        self.metrics.late_replies.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%re, topic, "a reply came that nobody waits for");
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
        let outboxes: Vec<_> = self.reply_outbox(()).into_iter().collect();
        outboxes.iter().for_each(|outbox: &Arc<Outbox>| outbox.rouse());
    }

    pub(super) fn new(options: ClientOptions, connector: Connector) -> Arc<Self> {
        let Limits { wire, max_topic_len, raw_len, .. } = options.limits;
        let (metrics, report) = (Metrics::new(), DropReport::default());
        let state = Arc::new(Self {
            router: Router::new(wire, max_topic_len, raw_len, Arc::clone(&metrics), report.clone()),
            events: Events::new(&report),
            phase: watch::Sender::new(Phase::Idle),
            connector,
            link: RwLock::new(None),
            metrics,
            span: OnceLock::new(),
            total: OutboxBudget::new(usize::MAX),
            inbox: InboxBudget::new(usize::MAX, usize::MAX),
            runtime: OnceLock::new(),
            keeper: Mutex::new(None),
            options,
        });
        let reporting = Arc::downgrade(&state);
        report.set(move |listens_for, panic| match reporting.upgrade() {
            Some(state) => state.events.report_panic(listens_for, panic),
            None => tracing::error!(panic, "a listener of {listens_for} panicked as it was dropped"),
        });
        state
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Changes the phase if it is one of those `from`; returns what it was.
    pub(super) fn advance(&self, from: &[Phase], to: Phase) -> Option<Phase> {
        let mut before = None;
        self.phase.send_if_modified(|phase| {
            if from.contains(phase) {
                before = Some(std::mem::replace(phase, to));
            }
            before.is_some()
        });
        before
    }

    /// The span of this client.
    pub(super) fn span(&self) -> &Span {
        self.span.get_or_init(|| tracing::info_span!("client", path = %self.options.path.display()))
    }

    /// The connection, while there is one.
    pub(super) fn link(&self) -> Option<Link> {
        read(&self.link).as_ref().filter(|link| !link.outbox.has_ended()).cloned()
    }

    /// What replies go into; `None` once the connection is gone.
    pub(super) fn reply_outbox(&self, (): ()) -> Option<Arc<Outbox>> {
        // One that takes no more messages still takes the replies to what was asked before.
        read(&self.link).as_ref().map(|link| Arc::clone(&link.outbox))
    }

    /// What has been counted.
    pub(super) fn stats(&self) -> Stats {
        self.metrics.stats(self.link().is_some().into(), self.total.queued(), self.total.most())
    }

    // Connecting

    /// Says why no attempt to connect can succeed.
    pub(super) fn refuse(&self) -> Option<ConnectError> {
        self.connector.refuse(&self.options)
    }

    /// Tries until there is a connection, the client is closed, or it gives up. Waits for `first` before the
    /// first attempt.
    pub(super) async fn establish(&self, first: Option<Delay>) -> Result<Connected, ConnectError> {
        let path = || self.options.path.clone();
        let mut phase = self.phase.subscribe();
        let mut delay = first;
        let mut attempts = 0u32;
        loop {
            let attempt = async {
                if let Some(delay) = delay {
                    tokio::time::sleep(delay.draw()).await;
                }
                let attempt = self.connector.attempt(&self.options);
                match first {
                    // Whoever calls `connect` hears of a panic by the panic.
                    None => attempt.await,
                    Some(_) => guarded(&self.options, attempt).await,
                }
            };
            let error = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase >= Phase::Closing) => return Err(ConnectError::Closed { path: path() }),
                attempt = attempt => match attempt {
                    Ok(connected) => return Ok(connected),
                    Err(error) => Arc::new(error),
                },
            };
            self.events.report_connect_error(&error);
            attempts = attempts.saturating_add(1);
            if self.options.give_up_after.is_some_and(|most| attempts >= most) {
                return Err(ConnectError::GaveUp { path: path(), attempts, cause: error });
            }
            delay = Some(self.options.retry_delay);
        }
    }

    /// Notes that there is a connection, and says so. `None` if the client was closed meanwhile.
    pub(super) fn connected(&self, again: bool) -> Option<Link> {
        let Limits { outbox_len, max_requests, .. } = self.options.limits;
        let outbox = Arc::new(Outbox::new(outbox_len, Arc::clone(&self.total)));
        let link = Link { outbox, pending_requests: PendingRequests::new(max_requests, Handle::current()) };
        {
            let mut current = write(&self.link);
            // Under the lock: closing begins by telling whichever connection is in here.
            self.advance(&[Phase::Connecting], Phase::Running);
            if self.phase() != Phase::Running {
                return None;
            }
            *current = Some(link.clone());
            self.metrics.connections.fetch_add(1, Ordering::Relaxed);
        }
        self.events.report_connect(again);
        Some(link)
    }

    /// Has the connection attended to, and made again whenever it is lost.
    pub(super) fn keep(self: &Arc<Self>, connected: Connected, link: Link) {
        let runtime = Handle::current();
        let _ = self.runtime.set(runtime.clone());
        let task =
            runtime.spawn(keep(Finish(Arc::clone(self)), connected, link).instrument(self.span().clone()));
        *lock(&self.keeper) = Some(task.abort_handle());
        if self.phase() == Phase::Closing {
            // It was closed after it had connected and before it could be told on which runtime to see to
            // that.
            self.watch_closing();
        }
    }

    fn report_end(&self, reason: &CloseReason) {
        if write(&self.link).take().is_some() {
            self.metrics.ended(reason);
            self.events.report_disconnect(reason);
        }
    }

    /// Reports the end of a connection that could not do so itself: it is stuck in a listener, or its runtime
    /// has gone.
    fn report_cut(&self) {
        let link = read(&self.link).clone();
        if let Some(link) = link {
            link.pending_requests.end(&CloseCause::Closed);
            let unsent = link.outbox.give_up(self.options.limits.wire, None);
            self.report_end(&CloseReason::cut(CloseCause::Closed, (unsent.messages, unsent.bytes)));
        }
    }

    // Closing

    /// Begins closing, unless that has begun before.
    pub(super) fn close(self: &Arc<Self>) {
        // Before the phase tells anybody: a responder that waits for the close is released where it finds both.
        self.router.close();
        let Some(before) = self.advance(&[Phase::Idle, Phase::Connecting, Phase::Running], Phase::Closing)
        else {
            return;
        };
        if before != Phase::Running {
            drop(Finish(Arc::clone(self)));
            return;
        }
        if let Some(link) = &*read(&self.link) {
            link.outbox.close(CloseCommand::Drain(CloseCause::Closed));
        }
        self.watch_closing();
    }

    /// Sees to it that closing ends, even if a listener that blocks its thread or never ends holds up the
    /// connection.
    fn watch_closing(self: &Arc<Self>) {
        let Some(runtime) = self.runtime.get() else { return };
        let finish = Finish(Arc::clone(self));
        runtime.spawn(async move {
            let state = &finish.0;
            let mut phase = state.phase.subscribe();
            let patience = state.options.limits.drain.saturating_add(OVERDUE);
            let closed = phase.wait_for(|phase| *phase == Phase::Closed);
            if tokio::time::timeout(patience, closed).await.is_ok() {
                return;
            }
            if let Some(keeper) = &*lock(&state.keeper) {
                keeper.abort();
            }
        });
    }

    /// Ends everything at once, without a drain and without events. Never waits.
    pub(super) fn abandon(&self) {
        if self.advance(&[Phase::Idle, Phase::Connecting, Phase::Running], Phase::Closed).is_none() {
            // Closed before, or about to be: that goes on by itself.
            return;
        }
        // First, so that nothing more is heard while the connection ends.
        self.router.clear();
        self.events.clear();
        let link = write(&self.link).take();
        if let Some(link) = link {
            link.outbox.close(CloseCommand::Cut(CloseCause::Closed));
            link.pending_requests.end(&CloseCause::Closed);
            let Unsent { messages, bytes } = link.outbox.give_up(self.options.limits.wire, None);
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

/// The end of closing, also where the runtime that was to do it has gone.
struct Finish(Arc<State>);

impl Drop for Finish {
    fn drop(&mut self) {
        let state = &self.0;
        if state.phase() < Phase::Closing {
            // The runtime is gone, or there will be no other connection.
            state.advance(&[Phase::Running], Phase::Closing);
        }
        // With a runtime that is gone went the connection: nothing is to be queued for it, and nobody to wait
        // for it.
        state.report_cut();
        state.router.clear();
        // Whoever waits for the end of closing is told once everybody who listens for it has been.
        if state.advance(&[Phase::Closing], Phase::Reporting).is_some() {
            state.events.report_close();
            state.events.clear();
            state.advance(&[Phase::Reporting], Phase::Closed);
        }
    }
}

/// The life of a client from its first connection on: each connection to its end, then the next.
async fn keep(finish: Finish, mut connected: Connected, mut link: Link) {
    let state = &finish.0;
    loop {
        let reason = match connected {
            Connected::Unix(stream) => attend(state, stream, link).await,
            Connected::Custom(stream) => attend(state, stream, link).await,
        };
        state.report_end(&reason);
        if state.phase() >= Phase::Closing {
            return;
        }
        connected = match state.establish(Some(state.options.reconnect_delay)).await {
            Ok(connected) => connected,
            Err(gave_up @ ConnectError::GaveUp { .. }) => {
                state.events.report_error(&Error::GaveUp(gave_up));
                return;
            }
            Err(_) => return,
        };
        link = match state.connected(true) {
            Some(link) => link,
            None => return,
        };
    }
}

async fn attend<S>(state: &Arc<State>, stream: S, link: Link) -> CloseReason
where
    S: Transport,
{
    let span = tracing::debug_span!("connection");
    Session::new(stream, Arc::clone(state), (), link, CloseCause::SlowServer).run().instrument(span).await
}
