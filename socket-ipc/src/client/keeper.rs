//! Keeps a client connected: attempts, connections, and attempts again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::connector::{Connected, guarded};
use super::state::State;
use crate::connection::{Link, Session, Transport};
use crate::endpoint::closing::Finish;
use crate::endpoint::lifecycle::Phase;
use crate::error::{ConnectError, Error};
use crate::events::CloseReason;
use crate::limits::delay::Delay;
use crate::router::Wait;
use crate::sync::{lock, write};

impl State {
    /// Says why no attempt to connect can succeed.
    pub(super) fn invalid_options(&self) -> Option<ConnectError> {
        self.connector.invalid_options(&self.options)
    }

    /// Tries until there is a connection, the client is closed, or it gives up. Waits for `first` before the first
    /// attempt. `failures` are those of the attempts before, and of these.
    pub(super) async fn establish(
        &self,
        first: Option<Delay>,
        failures: &mut Failures,
    ) -> Result<Connected, ConnectError> {
        let mut phase = self.core.lifecycle.subscribe();
        let mut delay = first;
        loop {
            let attempt = async {
                if let Some(delay) = delay {
                    tokio::time::sleep(delay.draw()).await;
                }
                let attempt = self.connector.attempt(&self.options);
                match first {
                    // A panic reaches the caller of `connect`.
                    None => attempt.await,
                    Some(_) => guarded(&self.options, attempt).await,
                }
            };
            let error = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase >= Phase::Closing) => {
                    return Err(ConnectError::Closed { path: self.options.path.clone() });
                }
                attempt = attempt => match attempt {
                    Ok(connected) => return Ok(connected),
                    Err(error) => Arc::new(error),
                },
            };
            self.core.events.report_connect_error(&error, &mut failures.warned);
            failures.count = failures.count.saturating_add(1);
            failures.last = Some(Arc::clone(&error));
            if failures.most.is_some_and(|most| failures.count >= most) {
                let (path, attempts) = (self.options.path.clone(), failures.count);
                return Err(ConnectError::GaveUp { path, attempts, cause: error });
            }
            delay = Some(self.options.retry_delay);
        }
    }

    /// Tries once.
    pub(super) async fn establish_once(&self) -> Result<Connected, ConnectError> {
        let mut phase = self.core.lifecycle.subscribe();
        let attempt = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => {
                return Err(ConnectError::Closed { path: self.options.path.clone() });
            }
            attempt = self.connector.attempt(&self.options) => attempt,
        };
        attempt.inspect_err(|error| {
            // The caller gets the error: that is no news to warn of.
            self.core.events.report_connect_error(&Arc::new(error.clone()), &mut true);
        })
    }

    /// Tries until there is a connection, but no longer than `timeout`.
    pub(super) async fn establish_within(&self, timeout: Duration) -> Result<Connected, ConnectError> {
        // The time bounds the attempts.
        let mut failures = Failures::up_to(None);
        match tokio::time::timeout(timeout, self.establish(None, &mut failures)).await {
            Ok(established) => established,
            Err(_) => {
                let path = self.options.path.clone();
                Err(ConnectError::DeadlineExceeded { path, timeout, cause: failures.last })
            }
        }
    }

    /// Notes whether the server is a process of this process's own user.
    #[cfg(feature = "otel")]
    fn note_server(&self, connected: &Connected) {
        let own = rustix::process::geteuid().as_raw();
        let is_own = self.connector.server_user(connected) == Some(own);
        self.server_is_own.store(is_own, Ordering::Relaxed);
    }

    /// Notes that there is a connection, and reports it. `None` if the client was closed meanwhile. Beside the link it
    /// returns what has to finish before the first message is dispatched.
    pub(super) fn connected(&self, again: bool) -> Option<(Link, Option<Wait>)> {
        let link = self.core.new_link(&self.options.limits, Handle::current());
        {
            let mut current = write(&self.link);
            // Checked under the lock: closing begins by telling the connection that is stored here.
            self.core.lifecycle.advance(&[Phase::Starting], Phase::Running);
            if self.core.lifecycle.phase() != Phase::Running {
                return None;
            }
            *current = Some(Arc::new(link.clone()));
            self.core.metrics.connections.fetch_add(1, Ordering::Relaxed);
        }
        let hold = self.core.events.report_connect(again);
        Some((link, hold))
    }

    /// Spawns the task that attends to the connection, and connects again whenever it is lost.
    pub(super) fn keep(self: &Arc<Self>, connected: Connected, link: (Link, Option<Wait>)) {
        let runtime = Handle::current();
        let _ = self.core.runtime.set(runtime.clone());
        let task =
            runtime.spawn(keep(Finish(Arc::clone(self)), connected, link).instrument(self.span().clone()));
        *lock(&self.keeper) = Some(task.abort_handle());
        if self.core.lifecycle.phase() == Phase::Closing {
            // It was closed before the runtime was set, so `close` could not spawn the task that watches closing.
            self.watch_closing();
        }
    }
}

/// The attempts in a row that have failed.
pub(super) struct Failures {
    /// How many there may be; `None` is any number.
    most: Option<u32>,
    count: u32,
    last: Option<Arc<ConnectError>>,
    /// Whether one of them is a warning in the log.
    warned: bool,
}

impl Failures {
    pub(super) fn up_to(most: Option<u32>) -> Self {
        Self { most, count: 0, last: None, warned: false }
    }
}

/// The life of a client from its first connection on: each connection to its end, then the next.
async fn keep(finish: Finish<State>, mut connected: Connected, mut link: (Link, Option<Wait>)) {
    let state = &finish.0;
    loop {
        #[cfg(feature = "otel")]
        state.note_server(&connected);
        let reason = match connected {
            Connected::Unix(stream) => attend(state, stream, link).await,
            Connected::Custom(stream) => attend(state, stream, link).await,
        };
        let hold = state.report_end(&reason);
        if let Some(hold) = hold {
            let mut phase = state.core.lifecycle.subscribe();
            tokio::select! {
                () = hold => {}
                _ = phase.wait_for(|phase| *phase >= Phase::Closing) => {}
            }
        }
        if state.core.lifecycle.phase() >= Phase::Closing {
            return;
        }
        let mut failures = Failures::up_to(state.options.give_up_after);
        connected = match state.establish(Some(state.options.reconnect_delay), &mut failures).await {
            Ok(connected) => connected,
            Err(gave_up @ ConnectError::GaveUp { .. }) => {
                state.core.events.report_error(&Error::GaveUp(gave_up));
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

async fn attend<S>(state: &Arc<State>, stream: S, (link, hold): (Link, Option<Wait>)) -> CloseReason
where
    S: Transport,
{
    let span = tracing::debug_span!("connection");
    let mut session = Session::new(stream, Arc::clone(state), (), link).run();
    if let Some(hold) = hold {
        session.hold(hold);
    }
    session.instrument(span).await
}
