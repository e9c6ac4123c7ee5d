//! The phase of a connection, from serving to its end.

use tokio::time::Instant;

use crate::events::CloseCause;

/// The phases of a connection. A connection only ever moves down this list.
#[derive(Debug)]
pub(super) enum Shutdown {
    /// Messages are dispatched.
    Serving,
    /// No further message is dispatched. Queued bytes are written, and running listeners may finish, until the
    /// deadline.
    Draining { cause: CloseCause, until: Option<Instant> },
    /// Everything is written, and the stream is shut down. The session reads on until the peer closes, too.
    Lingering { cause: CloseCause, until: Option<Instant> },
    /// The connection ends now.
    Aborted(CloseCause),
}

impl Shutdown {
    /// Begins to drain, at most until the deadline. In a later phase, the first cause and deadline stay.
    pub(super) fn drain(&mut self, cause: CloseCause, deadline: Option<Instant>) {
        if self.is_serving() {
            *self = Self::Draining { cause, until: None };
        }
        self.limit(deadline);
    }

    /// Sets the deadline, if there is none.
    pub(super) fn limit(&mut self, deadline: Option<Instant>) {
        if let Self::Draining { until, .. } | Self::Lingering { until, .. } = self {
            *until = until.or(deadline);
        }
    }

    pub(super) fn abort(&mut self, cause: CloseCause) {
        *self = Self::Aborted(cause);
    }

    /// The deadline has passed.
    pub(super) fn expire(&mut self) {
        if let Self::Draining { cause, .. } | Self::Lingering { cause, .. } = self {
            *self = Self::Aborted(cause.clone());
        }
    }

    /// The stream is shut down. The peer has until `deadline` to close, or until the deadline of the drain if that is
    /// earlier.
    pub(super) fn linger(&mut self, deadline: Option<Instant>) {
        if let Self::Draining { cause, until } = self {
            let until = [*until, deadline].into_iter().flatten().min();
            *self = Self::Lingering { cause: cause.clone(), until };
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    /// When the connection ends at the latest.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Draining { until, .. } | Self::Lingering { until, .. } => *until,
            Self::Serving | Self::Aborted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shutdown_phases_keep_the_first_cause_and_the_earlier_deadline() {
        let seconds = |count| Some(Instant::now() + Duration::from_secs(count));
        let mut shutdown = Shutdown::Serving;
        shutdown.limit(seconds(1));
        shutdown.linger(seconds(1));
        shutdown.expire();
        assert!(shutdown.is_serving());
        assert_eq!(shutdown.until(), None);
        shutdown.drain(CloseCause::PeerClosed, None);
        assert!(!shutdown.is_serving());
        assert_eq!(shutdown.until(), None);
        shutdown.limit(seconds(5));
        shutdown.drain(CloseCause::Closed, seconds(3));
        assert_eq!(shutdown.until(), seconds(5));
        shutdown.linger(seconds(2));
        assert_eq!(shutdown.until(), seconds(2));
        assert!(matches!(shutdown, Shutdown::Lingering { cause: CloseCause::PeerClosed, .. }));
        shutdown.expire();
        assert!(matches!(shutdown, Shutdown::Aborted(CloseCause::PeerClosed)));
        assert_eq!(shutdown.until(), None);
        shutdown.abort(CloseCause::Incomplete);
        assert!(matches!(shutdown, Shutdown::Aborted(CloseCause::Incomplete)));
    }
}
