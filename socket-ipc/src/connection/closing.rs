//! Waiting for an endpoint to close, also inside its own listeners.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;

/// Waits until a server or a client is closed: what `close` and `closed` return.
///
/// Closing begins at the call of `close`; this only waits for its end, and may be dropped.
///
/// ```no_run
/// use socket_ipc::Server;
///
/// # async fn example() {
/// let server = Server::new("/tmp/myApp.sock");
/// let closing = server.close();
/// // no new connections from here on
/// closing.await;
/// # }
/// ```
#[must_use = "closing has begun; awaiting this waits for its end"]
pub struct Closing {
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_begun: Box<dyn Fn() -> bool + Send + Sync>,
    endpoint: usize,
}

impl Closing {
    /// Waits for `phase` to become `closed`, by way of `closing`. `endpoint` tells endpoints apart.
    pub(crate) fn new<P: PartialOrd + Send + Sync + 'static>(
        mut phase: watch::Receiver<P>,
        endpoint: usize,
        closing: P,
        closed: P,
    ) -> Self {
        let watched = phase.clone();
        let has_begun = Box::new(move || *watched.borrow() >= closing);
        let closed = Box::pin(async move {
            // An error means that the endpoint is gone, and so closed.
            let _ = phase.wait_for(|phase| *phase >= closed).await;
        });
        Self { closed, has_begun, endpoint }
    }
}

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let poll = self.closed.as_mut().poll(cx);
        // Before closing begins, a listener that awaits this delays the next one, like any other listener.
        if poll.is_pending() && (self.has_begun)() {
            SCOPE.with(|scope| match scope.get() {
                Some(Scope { endpoint, .. }) if endpoint == self.endpoint => {
                    scope.set(Some(Scope { endpoint, awaits_close: true }));
                }
                _ => {}
            });
        }
        poll
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}

/// The endpoint whose asynchronous listener is being polled on this thread.
#[derive(Clone, Copy)]
struct Scope {
    endpoint: usize,
    awaits_close: bool,
}

thread_local! {
    static SCOPE: Cell<Option<Scope>> = const { Cell::new(None) };
}

/// Polls a listener of `endpoint`, and says whether it waits for that endpoint to close: then closing must not wait for
/// the listener.
pub(super) fn polled<R>(endpoint: usize, poll: impl FnOnce() -> R) -> (R, bool) {
    let before = SCOPE.replace(Some(Scope { endpoint, awaits_close: false }));
    let result = poll();
    let awaits_close = SCOPE.replace(before).is_some_and(|scope| scope.awaits_close);
    (result, awaits_close)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn polled_listener_awaits_only_the_close_of_its_own_endpoint() {
        const OWN: usize = 7;
        let (phase, watched) = watch::channel(0);
        let mut closing = Closing::new(watched, OWN, 1, 2);
        let mut awaits_close = |endpoint| {
            polled(endpoint, || Pin::new(&mut closing).poll(&mut Context::from_waker(Waker::noop()))).1
        };
        assert!(!awaits_close(OWN), "closing has not begun");
        phase.send(1).unwrap();
        assert!(!awaits_close(OWN + 1));
        assert!(awaits_close(OWN));
    }
}
