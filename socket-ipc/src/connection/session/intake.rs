//! Reading, within two bounds: how far it may read ahead behind held-back messages, and the connection's part of the
//! inbox budget.

use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Session;
use crate::connection::EndpointState;
use crate::connection::inbox::{Account, Growth};
use crate::connection::read_buffer::CHUNK;
use crate::connection::writer::cause_of;
use crate::error::{MessageError, MessageErrorKind};
use crate::events::CloseCause;

/// The result of an attempt to read.
enum Intake {
    /// The number of bytes read; 0 is the end of the stream.
    Bytes(usize),
    Failed(io::Error),
    /// Nothing has arrived.
    Empty,
    /// The budget has no room. It wakes the session when it has.
    NoRoom,
    /// Others need the room that this connection takes.
    Blamed,
}

impl<S: AsyncRead + AsyncWrite + Unpin, E: EndpointState> Session<S, E> {
    /// Reads what has arrived. `Pending` while nothing has arrived, at the end of the stream, and while enough is read
    /// ahead.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, intake: &mut usize) -> Poll<()> {
        if self.reader.ended().is_some() {
            return Poll::Pending;
        }
        if self.has_read_ahead() {
            self.reader.excuse_rest();
            if let Some(account) = &mut self.account {
                account.is_done();
            }
            return Poll::Pending;
        }
        // An empty stream is read again in the same poll in two cases only: the connection has an account, which has to
        // learn what later steps have changed; or writing has ended, which may be the end of reading, too.
        if self.found_empty && self.account.is_none() && self.writer.ended().is_none() {
            return Poll::Pending;
        }
        let waited = self.dispatcher.waits_for_room(&self.context);
        match self.poll_intake(cx) {
            Intake::Bytes(0) => self.end_reading(CloseCause::PeerClosed, cx),
            Intake::Bytes(count) => *intake = intake.saturating_sub(count),
            // Not an error: the call is made again.
            Intake::Failed(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Intake::Failed(error) => self.end_reading(cause_of(error), cx),
            // A peer that neither reads nor has sent anything more is gone.
            Intake::Empty => match self.writer.ended().cloned() {
                Some(cause) => self.end_reading(cause, cx),
                None => {
                    self.found_empty = true;
                    // The memory that the read buffer gives back may be the room that a message waits for.
                    let has_room = waited && !self.dispatcher.waits_for_room(&self.context);
                    return if has_room { Poll::Ready(()) } else { Poll::Pending };
                }
            },
            Intake::NoRoom => {
                self.reader.excuse_rest();
                return Poll::Pending;
            }
            Intake::Blamed => self.report_no_room(),
        }
        if !self.shutdown.is_serving() && !self.dispatcher.holds_a_message() {
            self.reader.discard();
        }
        Poll::Ready(())
    }

    /// Whether as much as allowed is read behind a held-back message.
    pub(super) fn has_read_ahead(&self) -> bool {
        let Some(front) = self.dispatcher.held_back(&self.context) else { return false };
        let limits = self.context.limits();
        // Room for the reply that a listener may wait for, and for the cancel of a running responder behind a long
        // message.
        let is_open = self.context.link.pending_requests.is_waiting() || self.dispatcher.has_responders();
        let more = if is_open { limits.max_message_len } else { 0 };
        let ahead = limits.read_ahead_len.saturating_add(more);
        self.reader.unread().len() >= front.saturating_add(ahead)
    }

    fn end_reading(&mut self, cause: CloseCause, cx: &mut Context<'_>) {
        // All that was sent has arrived, and the replies in it have been found: this round has dispatched or scanned
        // it.
        self.context.link.pending_requests.end(&cause);
        self.reader.end(cause);
        // Senders learn now that the peer is gone, even while listeners are running.
        self.writer.probe(&mut self.stream, cx);
    }

    /// Reads what has arrived, as far as the budget allows.
    fn poll_intake(&mut self, cx: &mut Context<'_>) -> Intake {
        let held_back = self.dispatcher.held_back(&self.context).is_some();
        let has_dispatched = self.reader.has_dispatched();
        if let Some(account) = &mut self.account {
            if account.is_blamed() {
                return Intake::Blamed;
            }
            // A turn is for one message.
            if held_back || has_dispatched {
                account.step_back();
            }
        }
        let growth = match self.reader.growth() {
            0 => 0,
            growth => match self.grow(cx, growth, !held_back) {
                Ok(growth) => growth,
                Err(intake) => return intake,
            },
        };
        let filled = self.reader.poll_fill(&mut self.stream, cx, growth);
        self.note_intake(cx, &filled, held_back);
        match filled {
            Poll::Ready(Ok(count)) => Intake::Bytes(count),
            Poll::Ready(Err(error)) => Intake::Failed(error),
            Poll::Pending => Intake::Empty,
        }
    }

    /// By how much the read buffer may grow, where `best` is what it needs.
    fn grow(&mut self, cx: &Context<'_>, best: usize, in_turn: bool) -> Result<usize, Intake> {
        let budget = self.context.endpoint.inbox();
        let growth = if budget.has_room(best) { best } else { CHUNK };
        if growth < best && self.reader.free() > 0 {
            // First the session finds out whether the socket is empty.
            return Ok(0);
        }
        let user = || self.context.endpoint.user_of(self.context.from);
        let account = self.account.get_or_insert_with(|| Box::new(budget.open(user())));
        match account.grow(cx, growth, in_turn) {
            Growth::Granted => Ok(growth),
            Growth::Waits => Err(Intake::NoRoom),
            Growth::Blamed => Err(Intake::Blamed),
        }
    }

    fn note_intake(&mut self, cx: &Context<'_>, filled: &Poll<io::Result<usize>>, held_back: bool) {
        let Some(account) = &mut self.account else { return };
        match filled {
            Poll::Ready(Ok(count)) if *count > 0 => account.received(*count),
            Poll::Pending if !held_back && self.reader.unread().len() > CHUNK => account.is_quiet(cx),
            Poll::Pending | Poll::Ready(_) => account.is_done(),
        }
        account.set_buffer(self.reader.allocated().saturating_sub(CHUNK));
        self.close_account();
    }

    /// Counts the requests of running responders, beyond a chunk.
    pub(super) fn count_responders(&mut self) {
        let len = self.dispatcher.responders_len();
        if len <= CHUNK && self.account.is_none() {
            return;
        }
        let (budget, context) = (self.context.endpoint.inbox(), &self.context);
        let user = || context.endpoint.user_of(context.from);
        let account = self.account.get_or_insert_with(|| Box::new(budget.open(user())));
        // In steps, since each takes a lock.
        account.set_responders(len.saturating_sub(CHUNK).next_multiple_of(CHUNK / 4));
        self.close_account();
    }

    fn close_account(&mut self) {
        self.account.take_if(|account| account.holds_nothing());
    }

    /// Whether the budget keeps the session from reading.
    pub(super) fn waits_for_room(&self) -> bool {
        self.account.as_deref().is_some_and(Account::waits)
    }

    /// Checks the budget again after some time. Once the connection was not read for long, its own requests fail,
    /// because their replies can't be read.
    pub(super) fn review_budget(&self) {
        if let Some(account) = &self.account
            && account.review()
        {
            self.context.link.pending_requests.no_room(self.context.endpoint.inbox().limit());
        }
    }

    fn report_no_room(&mut self) {
        let limits = self.context.limits();
        let kind = MessageErrorKind::InboxFull { limit: self.context.endpoint.inbox().limit() };
        let error = MessageError::new(kind, self.reader.unread(), self.reader.unfinished(), limits.raw_len);
        self.context.endpoint.message_error(error, self.context.from);
        self.shutdown.abort(CloseCause::InboxFull);
    }
}
