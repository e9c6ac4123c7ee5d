//! The deadlines of a session, and what is done when one has passed.

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
        // The runtime holds back timers, too, from a task that has been busy for long; the clock it does not.
        let rang = self.timer.poll(cx, Some(next)).is_ready();
        if self.look_at_clock(cx) || rang { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When the drain is over, when the stream has to have taken something, when the message at the front has to be
    /// complete, and when to probe.
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

    /// Sees to it that what nothing else tells is found out: the end of a peer that is not read from while something is at
    /// work for it, and room in the inbox budget.
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

    /// Does what is due; says whether anything was.
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
            // That the stream is not writable may only mean that the peer reads slowly.
            if !self.writer.write_regardless(&self.stream) {
                self.shutdown.abort(self.slow_consumer.clone());
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
