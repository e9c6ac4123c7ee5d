//! The life of an endpoint, from when it is made until it is closed.

use std::sync::Arc;
use std::time::Duration;

use super::events::EventLists;
use super::{Core, Endpoint, PeerId};
use crate::connection::{Closing, Link, Unsent};
use crate::events::CloseCause;
use crate::wire::Wire;

/// How long after the drain a connection is waited for that is stuck in a listener.
const OVERDUE: Duration = Duration::from_millis(100);

/// Where in its life an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Idle,
    /// `listen` or `connect` was called and has not resolved.
    Starting,
    /// The server listens; the client has connected once, and connects again when it has to.
    Running,
    Closing,
    /// All connections have ended; `on_close` is being reported.
    Reporting,
    Closed,
}

/// The phases before closing.
const OPEN: &[Phase] = &[Phase::Idle, Phase::Starting, Phase::Running];

impl<P: PeerId> Core<P> {
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Changes the phase if it is one of `from`; returns what it was.
    pub(crate) fn advance(&self, from: &[Phase], to: Phase) -> Option<Phase> {
        let mut before = None;
        self.phase.send_if_modified(|phase| {
            if from.contains(phase) {
                before = Some(std::mem::replace(phase, to));
            }
            before.is_some()
        });
        before
    }

    /// Begins to start. `Err` is the phase that the endpoint is in instead of `Idle`.
    pub(crate) fn start(&self) -> Result<Starting<'_, P>, Phase> {
        self.advance(&[Phase::Idle], Phase::Starting).map(|_| Starting(self)).ok_or_else(|| self.phase())
    }

    /// Begins closing; returns the phase before. `None` if closing has begun before.
    pub(crate) fn begin_closing(&self) -> Option<Phase> {
        // Before the phase changes: a responder that waits for the close is released where it finds both.
        self.router.close();
        self.advance(OPEN, Phase::Closing)
    }
}

/// An endpoint that starts. Dropped while it still does, the endpoint is as if it had not begun to.
pub(crate) struct Starting<'c, P: PeerId>(&'c Core<P>);

impl<P: PeerId> Drop for Starting<'_, P> {
    fn drop(&mut self) {
        self.0.advance(&[Phase::Starting], Phase::Idle);
    }
}

/// What waits for the end of closing.
pub(crate) fn closed<E: Endpoint>(endpoint: &Arc<E>) -> Closing {
    let identity = Arc::as_ptr(endpoint).addr();
    Closing::new(endpoint.core().phase.subscribe(), identity, Phase::Closing, Phase::Closed)
}

/// Ends closing when it is dropped, which a runtime that is gone does, too.
pub(crate) struct Finish<E: Endpoint>(pub(crate) Arc<E>);

impl<E: Endpoint> Drop for Finish<E> {
    fn drop(&mut self) {
        let core = self.0.core();
        self.0.release();
        core.router.clear();
        // The phase is `Closed` only once the listeners of `on_close` have returned.
        if core.advance(&[Phase::Closing], Phase::Reporting).is_some() {
            core.events.report_close();
            clear_events(&*self.0);
            core.advance(&[Phase::Reporting], Phase::Closed);
        }
    }
}

/// Ends closing once `ended` resolves. Where a listener blocks its thread or never ends, the drain passes first and
/// `abort` is called.
pub(crate) async fn finish_after<E: Endpoint>(
    finish: Finish<E>,
    ended: impl Future<Output = ()>,
    abort: impl FnOnce(&E),
) {
    let patience = finish.0.limits().drain.saturating_add(OVERDUE);
    if tokio::time::timeout(patience, ended).await.is_err() {
        abort(&finish.0);
    }
}

/// Closes an endpoint without a drain and without events. `false` if closing has begun before: that goes on by itself. Its
/// connections are still to be ended.
pub(crate) fn abandon<E: Endpoint>(endpoint: &E) -> bool {
    let core = endpoint.core();
    if core.advance(OPEN, Phase::Closed).is_none() {
        return false;
    }
    // First, as a connection that ends would call them.
    core.router.clear();
    clear_events(endpoint);
    true
}

fn clear_events<E: Endpoint>(endpoint: &E) {
    endpoint.core().events.clear();
    endpoint.events().clear();
}

/// Ends what others hold of a connection that could not end itself; returns what was not sent.
pub(crate) fn give_up(link: &Link, wire: Wire) -> Unsent {
    link.pending_requests.end(&CloseCause::Closed);
    link.outbox.give_up(wire, None)
}
