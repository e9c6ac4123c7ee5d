//! The phases of an endpoint's life, from when it is made until it is closed.

use tokio::sync::watch;

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

/// The phase that an endpoint is in.
pub(crate) struct Lifecycle {
    phase: watch::Sender<Phase>,
}

impl Lifecycle {
    pub(super) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Idle) }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
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

    /// Ends the phases before closing; returns the one that ended. `None` if closing has begun before.
    pub(super) fn end(&self, to: Phase) -> Option<Phase> {
        self.advance(&[Phase::Idle, Phase::Starting, Phase::Running], to)
    }

    /// Begins to start. `Err` is the phase that the endpoint is in instead of `Idle`.
    pub(crate) fn start(&self) -> Result<Starting<'_>, Phase> {
        self.advance(&[Phase::Idle], Phase::Starting).map(|_| Starting(self)).ok_or_else(|| self.phase())
    }
}

/// An endpoint that starts. If this is dropped before the endpoint runs, the endpoint is idle again.
pub(crate) struct Starting<'l>(&'l Lifecycle);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.advance(&[Phase::Starting], Phase::Idle);
    }
}
