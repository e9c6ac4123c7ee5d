//! The deadlines of a session, and what it does when one has passed.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::{Session, Shutdown};
use crate::connection::{EndpointState, Transport};
use crate::error::{MessageError, MessageErrorKind};
use crate::events::CloseCause;
use crate::limits::PROBE_INTERVAL;

impl<S: Transport, E: EndpointState> Session<S, E> {
    /// Waits for the next deadline. `Ready` when one has passed, which changes what there is to do.
    pub(super) fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.plan_probe();
        let Some(next) = self.deadlines().into_iter().flatten().min() else { return Poll::Pending };
        // The runtime delays the timers of a task that has used up its budget. So the clock itself is read, too.
        let rang = self.timer.poll(cx, Some(next)).is_ready();
        if self.look_at_clock(cx) || rang { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The deadlines of the drain, of the stalled stream and of the incomplete message, and the time of the next probe.
    fn deadlines(&self) -> [Option<Instant>; 4] {
        let complete_until = match self.shutdown {
            // A peer that is not read from can't be late.
            Shutdown::Serving if self.dispatcher.held_back(&self.context).is_none() => {
                self.reader.complete_until().filter(|_| self.reader.ended().is_none())
            }
            _ => None,
        };
        [self.shutdown.until(), self.writer.stalled_until(), complete_until, self.probe_at]
    }

    /// Plans a probe for two changes that nothing else tells the session. One is that a peer has gone, while it is not
    /// read from and a listener or responder runs for it. The other is that the inbox budget has room.
    fn plan_probe(&mut self) {
        let is_read_from = self.reader.ended().is_none() && !self.has_read_ahead();
        let needs_peer = !is_read_from && self.writer.ended().is_none() && !self.dispatcher.is_idle();
        let needs_room = self.waits_for_room() || self.dispatcher.waits_for_room(&self.context);
        if !needs_peer && !needs_room {
            self.probe_at = None;
        } else if self.probe_at.is_none() {
            self.probe_at = Instant::now().checked_add(PROBE_INTERVAL);
        }
    }

    /// Handles a deadline that has passed, and says whether there was one.
    pub(super) fn look_at_clock(&mut self, cx: &mut Context<'_>) -> bool {
        let deadlines = self.deadlines();
        if deadlines.iter().all(Option::is_none) {
            return false;
        }
        let now = Instant::now();
        let [drained, stalled, complete, probe] =
            deadlines.map(|deadline| deadline.is_some_and(|at| at <= now));
        if drained {
            self.shutdown.expire();
        } else if stalled {
            // A stream may be unwritable only because its peer reads slowly.
            if !self.writer.write_regardless(&self.stream) {
                self.shutdown.abort(E::SLOW_CONSUMER);
            }
        } else if complete {
            self.report_incomplete();
            self.shutdown.abort(CloseCause::Incomplete);
        } else if probe {
            self.probe_at = None;
            self.writer.probe(&mut self.stream, cx);
            self.review_budget();
        } else {
            return false;
        }
        true
    }

    fn report_incomplete(&self) {
        let limits = self.context.limits();
        let kind = MessageErrorKind::Incomplete { timeout: limits.incomplete_timeout };
        let error = MessageError::new(kind, self.reader.unread(), self.reader.unfinished(), limits.raw_len);
        self.context.endpoint.message_error(error, self.context.from);
    }
}
