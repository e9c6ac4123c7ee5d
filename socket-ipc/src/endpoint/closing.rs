//! The end of an endpoint: closing in good order, or at once.

use std::sync::Arc;
use std::time::Duration;

use super::events::EventLists as _;
use super::lifecycle::Phase;
use super::state::Endpoint;
use crate::connection::{Closing, Link, Unsent};
use crate::events::CloseCause;
use crate::wire::Wire;

/// How long closing waits, beyond the drain, for a connection that is stuck in a listener.
const OVERDUE: Duration = Duration::from_millis(100);

/// A future that waits for the end of closing.
pub(crate) fn closed<E: Endpoint>(endpoint: &Arc<E>) -> Closing {
    let identity = Arc::as_ptr(endpoint).addr();
    Closing::new(endpoint.core().lifecycle.subscribe(), identity, Phase::Closing, Phase::Closed)
}

/// Waits until closing begins.
pub(crate) async fn begun<E: Endpoint>(endpoint: &Arc<E>) {
    let mut phase = endpoint.core().lifecycle.subscribe();
    // An error is not possible: the endpoint is here.
    let _ = phase.wait_for(|phase| *phase >= Phase::Closing).await;
}

/// Waits until a connection takes no more messages.
pub(crate) async fn disconnected<E: Endpoint>(endpoint: &Arc<E>, peer: E::Peer) {
    if let Some(outbox) = endpoint.reply_outbox(peer) {
        // It is always an error: nothing else is waited for.
        let _ = outbox.wait_until(|_| false).await;
    }
}

/// Begins closing; returns the phase before. `None` if closing has begun before.
pub(crate) fn begin<E: Endpoint>(endpoint: &E) -> Option<Phase> {
    // Before the phase changes: a responder that awaits the close is released only if it finds both the phase changed
    // and the router closed, and only the change of the phase wakes it.
    endpoint.core().router.close();
    endpoint.core().lifecycle.end(Phase::Closing)
}

/// Ends closing when it is dropped. A runtime that ends drops it, too.
pub(crate) struct Finish<E: Endpoint>(pub(crate) Arc<E>);

impl<E: Endpoint> Drop for Finish<E> {
    fn drop(&mut self) {
        let core = self.0.core();
        self.0.release();
        core.router.clear();
        // The phase is `Closed` only once the listeners of `on_close` have returned.
        if core.lifecycle.advance(&[Phase::Closing], Phase::Reporting).is_some() {
            core.events.report_close();
            core.events.clear();
            core.lifecycle.advance(&[Phase::Reporting], Phase::Closed);
        }
    }
}

/// Ends closing once `ended` resolves. If the drain passes first, because a listener blocks its thread or never ends,
/// calls `abort` and then ends closing.
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

/// Closes an endpoint without a drain and without events. The caller then ends the connections. `false` if closing has
/// begun before: it goes on by itself.
pub(crate) fn abandon<E: Endpoint>(endpoint: &E) -> bool {
    let core = endpoint.core();
    if core.lifecycle.end(Phase::Closed).is_none() {
        return false;
    }
    // First, so that a connection that ends calls no listener.
    core.router.clear();
    core.events.clear();
    true
}

/// Ends the pending requests and the outbox of a connection that does not end itself; returns what was not sent.
pub(crate) fn give_up(link: &Link, wire: Wire) -> Unsent {
    link.pending_requests.end(&CloseCause::Closed);
    link.outbox.give_up(wire, None)
}
