//! The task of one connection: it writes what is queued, reads, and dispatches, each as far as it can.
//!
//! # The steps
//!
//! A poll of the session takes these steps in turn. One round after the other, until nothing is left to do:
//!
//! | step | what it does | what it waits for |
//! |---|---|---|
//! | command | begins the drain, or the abort, that the endpoint has asked for; gives up listeners that were removed | the outbox, which wakes the session |
//! | write | hands the outbox to the stream | the stream to take more; the outbox to be filled |
//! | respond | goes on with running responders; drops them once the peer reads no more | the responders; the end of writing, which *write* or a probe finds |
//! | dispatch | calls the listeners of what was received | bytes; a listener that has to be waited for; a place among the responders (*respond*); room for replies (*write*) |
//! | scan | takes out replies behind a message that is held back | bytes |
//! | shut down | begins the drain when all is done that the peer has asked for; tells it the end; ends | all of these; the stream to be flushed |
//! | read | takes bytes from the stream | the stream to have some. Where enough is read ahead: *dispatch*, and meanwhile a probe, since nothing else tells that the peer is gone |
//! | clock | looks at the deadlines | the timer |
//!
//! # The states
//!
//! [`Reader::ended`] and [`Writer::ended`] say whether the peer may still send and whether it still reads; either ends
//! for good. [`Dispatcher::held_back`] says whether messages wait, and [`Shutdown`] how far the connection is on its way
//! to its end.
//!
//! # The invariants
//!
//! 1. *Parked implies a waker for everything that can still happen.* What a step changes is looked at by the steps that
//!    come after it, in the same round. Whatever an earlier step looks at is changed by *read* and *clock* alone: they
//!    say so, and another round follows. What other tasks and the listeners themselves change is the outbox, and
//!    [`Outbox::park`] looks at it once more, under its lock. So when the session parks, each step has found, with
//!    everything as it is now, that it has nothing to do, and has left its waker with what it waits for outside.
//! 2. *Ended implies that nothing is left queued, held, pending or counted.* [`Session::run`] and its `Drop` give up
//!    what there is.
//! 3. *Reading waits only for something that will be told.* It stops for held-back messages, each of which waits for a
//!    listener, a responder or the outbox, and for room in the inbox budget, which wakes the session. Whether the peer is
//!    still there is found out by a probe every [`PROBE_INTERVAL`](crate::limits::PROBE_INTERVAL): once it is gone, its
//!    responders are dropped, and what they held back goes on.
//!
//! The module `walk` checks them: it drives `poll` through every order of what can happen to a connection.

mod clock;
mod dispatcher;
mod intake;
mod reader;
mod shutdown;
#[cfg(test)]
mod walk;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::yield_now;
use tokio::time::Instant;

use self::dispatcher::Dispatcher;
use self::reader::Reader;
use self::shutdown::Shutdown;
use super::context::ConnectionContext;
use super::deadline_timer::DeadlineTimer;
use super::inbox::Account;
use super::outbox::{CloseCommand, Outbox};
use super::writer::{Writer, cause_of};
use super::{EndpointState, Link, Transport};
use crate::events::{CloseCause, CloseReason};
use crate::limits::LINGER;
use crate::listener::caught;

/// How many bytes of messages a session dispatches before it lets other tasks have their turn.
const TURN: usize = 64 * 1024;

/// How many bytes a session reads before it does so: of a message without a delimiter, or in a drain, none counts as
/// dispatched.
const INTAKE: usize = 1024 * 1024;

/// One connection, from its first byte to its end.
pub(crate) struct Session<S, E: EndpointState> {
    context: ConnectionContext<E>,
    stream: S,
    /// The close cause to report when the peer takes nothing.
    slow_consumer: CloseCause,
    reader: Reader,
    dispatcher: Dispatcher<E>,
    writer: Writer,
    shutdown: Shutdown,
    /// What the connection has of the inbox budget, while it has more than a chunk.
    account: Option<Box<Account>>,
    /// When to find out whether the peer is still there, while nothing else would tell.
    probe_at: Option<Instant>,
    timer: DeadlineTimer,
}

/// What is left of the turn of a session.
struct Turn {
    dispatch: usize,
    intake: usize,
}

impl<S: Transport, E: EndpointState> Session<S, E> {
    pub(crate) fn new(
        stream: S,
        endpoint: Arc<E>,
        from: E::From,
        link: Link,
        slow_consumer: CloseCause,
    ) -> Self {
        let limits = endpoint.limits();
        Self {
            reader: Reader::new(limits),
            dispatcher: Dispatcher::new(&*endpoint),
            writer: Writer::new(Arc::clone(&link.outbox), limits.write_stall),
            context: ConnectionContext { endpoint, from, link },
            stream,
            slow_consumer,
            shutdown: Shutdown::Serving,
            account: None,
            probe_at: None,
            timer: DeadlineTimer::default(),
        }
    }

    /// Runs the connection to its end. When this returns, nothing is written or dispatched any more.
    pub(crate) async fn run(mut self) -> CloseReason {
        let cause = poll_fn(|cx| caught(|| self.poll(cx)).unwrap_or_else(transport_panicked)).await;
        self.dispatcher.give_up(&mut self.reader, &self.context);
        self.reader.discard();
        self.dispatcher.count();
        self.context.link.pending_requests.end(&cause);
        let writing = self.writer.take_writing();
        let unsent = self.outbox().give_up(self.context.limits().wire, writing);
        let reason = CloseReason {
            cause,
            unsent_messages: unsent.messages,
            unsent_bytes: unsent.bytes,
            unfinished_bytes: self.reader.unfinished(),
        };
        // The reason is to be reported, whatever the stream does as it is dropped.
        if let Err(panic) = caught(|| drop(self)) {
            tracing::error!(panic, "the transport of a connection panicked as it was dropped");
        }
        reason
    }

    fn outbox(&self) -> &Outbox {
        &self.context.link.outbox
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let mut turn = Turn { dispatch: TURN, intake: INTAKE };
        loop {
            self.take_command();
            self.dispatcher.refresh(&self.reader, &self.context);
            let blocked = self.writer.poll_write(&mut self.stream, cx).is_pending();
            self.dispatcher.poll_responders(cx, self.writer.ended().is_none());
            let dispatched = self.poll_dispatch(cx, &mut turn).is_ready();
            self.count_responders();
            self.dispatcher.scan_replies(&mut self.reader, &self.context);
            if let Some(cause) = self.poll_shutdown(cx, dispatched) {
                return Poll::Ready(cause);
            }
            if turn.dispatch == 0 || turn.intake == 0 {
                // A peer that never pauses must not keep the clock from being looked at.
                self.look_at_clock(cx);
                self.dispatcher.count();
                // Not just woken again: the runtime is to look at what has arrived for others before it comes back.
                if std::pin::pin!(yield_now()).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                turn = Turn { dispatch: TURN, intake: INTAKE };
            }
            if self.poll_read(cx, &mut turn.intake).is_ready() || self.poll_clock(cx).is_ready() {
                continue;
            }
            self.dispatcher.count();
            // Where nothing can be written any more, what is queued is nothing to stay awake for.
            if self.outbox().park(cx.waker(), blocked || self.writer.ended().is_some()) {
                return Poll::Pending;
            }
        }
    }

    fn take_command(&mut self) {
        match self.outbox().take_close() {
            Some(CloseCommand::Drain(cause)) => {
                let until = Instant::now().checked_add(self.context.limits().drain);
                self.drain(cause, until);
            }
            Some(CloseCommand::Cut(cause)) => self.shutdown.abort(cause),
            None => {}
        }
    }

    /// Begins the end of the connection: what is queued is written, nothing more is dispatched.
    fn drain(&mut self, cause: CloseCause, until: Option<Instant>) {
        self.outbox().end();
        self.context.link.pending_requests.end(&cause);
        self.shutdown.drain(cause, until);
    }

    /// Dispatches what was received. In a drain, only goes on with the message that was begun.
    fn poll_dispatch(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<()> {
        let (reader, context) = (&mut self.reader, &self.context);
        if self.shutdown.is_serving() {
            self.dispatcher.poll_dispatch(cx, reader, context, &mut turn.dispatch)
        } else {
            self.dispatcher.poll_held(cx, reader, context)
        }
    }

    // Ending

    /// The cause, once nothing is left to do. `dispatched` says that every whole message has been.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>, dispatched: bool) -> Option<CloseCause> {
        if self.shutdown.is_serving()
            && dispatched
            && self.dispatcher.is_idle()
            && let Some(cause) = self.reader.ended().cloned()
        {
            // What the peer has sent is dispatched; the replies to it are still written.
            self.drain(cause, None);
        }
        let is_done = self.writer.is_done() && self.dispatcher.is_idle();
        match &self.shutdown {
            Shutdown::Aborted(cause) => return Some(cause.clone()),
            Shutdown::Draining { .. } if is_done && self.writer.ended().is_none() => {
                if self.writer.poll_shutdown(&mut self.stream, cx).is_pending() {
                    // A stream that can't even be shut down has no more time than the rest of a drain.
                    let until = Instant::now().checked_add(self.context.limits().drain);
                    self.shutdown.limit(until);
                    return None;
                }
                self.shutdown.linger(Instant::now().checked_add(LINGER));
            }
            _ => {}
        }
        // Closing a socket with something unread in it resets the connection, and a peer that writes to it once it is
        // closed gets an error: either ends a Node process that listens for no `error` of its sockets. So the session reads
        // on until the peer has seen the end and closes as well, for a moment.
        let peer_has_closed = self.writer.ended().is_some() || self.reader.ended().is_some();
        match &self.shutdown {
            Shutdown::Draining { cause, .. } | Shutdown::Lingering { cause, .. }
                if is_done && peer_has_closed =>
            {
                Some(cause.clone())
            }
            _ => None,
        }
    }
}

/// The end of a connection whose stream, code of the user, has panicked. What else is code of the user is called inside a
/// guard of its own.
fn transport_panicked(panic: String) -> Poll<CloseCause> {
    Poll::Ready(cause_of(io::Error::other(format!("the transport panicked: {panic}"))))
}

impl<S, E: EndpointState> Drop for Session<S, E> {
    fn drop(&mut self) {
        // A session that is dropped with its runtime has not run to its end: what it holds may panic as it goes, and no sender
        // must take it for alive.
        self.dispatcher.give_up(&mut self.reader, &self.context);
        let writing = self.writer.take_writing();
        self.context.link.outbox.give_up(self.context.limits().wire, writing);
        self.context.link.pending_requests.end(&CloseCause::Closed);
    }
}
