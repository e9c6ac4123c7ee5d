//! The task of one connection: it writes what is queued, reads, and dispatches, each as far as it can.
//!
//! # The steps
//!
//! A poll of the session takes these steps in turn, round after round, until nothing is left to do:
//!
//! | step | what it does | what it waits for |
//! |---|---|---|
//! | command | begins the drain or the abort that the endpoint commands, and has the streams end; drops listeners that were removed | the outbox, which wakes the session |
//! | write | hands the outbox to the stream | the stream to take more; the outbox to be filled |
//! | respond | polls running responders, which send the items of streams; drops them once the peer reads no more | the responders; the windows of streams, which *dispatch* and *scan* open; the end of writing, which *write* or a probe finds |
//! | dispatch | calls the listeners of received messages | bytes; a listener that is running; a place among the responders (*respond*); room for replies (*write*) |
//! | scan | takes out replies, cancels and renewals behind a message that is held back, and acts on them | bytes |
//! | shut down | begins the drain when everything that the peer sent is handled; shuts the stream down; ends | all of these; the stream to be flushed |
//! | read | takes bytes from the stream | the stream to have some. Where enough is read ahead: *dispatch*, and meanwhile a probe, since nothing else tells that the peer is gone |
//! | clock | checks the deadlines | the timer |
//!
//! A poll with nothing to dispatch or to write begins with *read*, as it is mostly the socket that has woken the
//! session. Once *read* has found the stream empty, it has the waker, and later rounds of the poll do not read again.
//!
//! # The states
//!
//! [`Reader::ended`] and [`Writer::ended`] say whether the peer may still send and whether it still reads; either end
//! is final. [`Dispatcher::held_back`] says whether messages wait. [`Shutdown`] is the phase of the connection.
//!
//! # The invariants
//!
//! 1. *A parked session has a waker with everything that can still happen.* What a step changes is checked by the later
//!    steps of the same round. Only *scan*, *read* and *clock* change what an earlier step depends on: they return
//!    `Ready`, and another round follows. Other tasks and the listeners change only the outbox, which [`Outbox::park`]
//!    checks once more, under its lock. So when the session parks, each step has found nothing to do in the present
//!    state, and has left its waker with what it waits for.
//! 2. *A session that has ended leaves nothing queued, held, pending or counted.* [`Session::run`] and its `Drop` give
//!    up what is left.
//! 3. *Reading waits only for something that wakes the session.* It stops for held-back messages, each of which waits
//!    for a listener, a responder or the outbox, and for room in the inbox budget. A probe every
//!    [`PROBE_INTERVAL`](crate::limits::PROBE_INTERVAL) finds out whether the peer is gone: then its responders are
//!    dropped, and the messages that they held back are dispatched.
//!
//! The module `walk` checks these invariants: it drives `poll` through every order of the events of a connection.

mod clock;
mod dispatcher;
mod held_requests;
mod intake;
mod last_stream;
mod reader;
mod rejections;
mod shutdown;
mod turn;
#[cfg(test)]
pub(super) mod walk;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;
use tokio::time::Instant;

use self::dispatcher::Dispatcher;
use self::reader::Reader;
use self::shutdown::Shutdown;
use self::turn::{FurtherTurns, Turn};
use super::context::ConnectionContext;
use super::deadline_timer::DeadlineTimer;
use super::inbox::Account;
use super::outbox::{CloseCommand, Outbox};
use super::writer::{Writer, cause_of};
use super::{EndpointState, Link, Transport};
use crate::events::{CloseCause, CloseReason};
use crate::limits::LINGER;
use crate::listener::caught;
use crate::router::Wait;

/// One connection, from its first byte to its end.
pub(crate) struct Session<S, E: EndpointState> {
    context: ConnectionContext<E>,
    stream: S,
    reader: Reader,
    dispatcher: Dispatcher<E>,
    writer: Writer,
    shutdown: Shutdown,
    /// The connection's part of the inbox budget, while that is more than a chunk.
    account: Option<Box<Account>>,
    /// When to probe whether the peer is still there, while nothing else would tell.
    probe_at: Option<Instant>,
    timer: DeadlineTimer,
    /// In this poll, the stream had nothing to read, and has the waker.
    found_empty: bool,
}

/// A session that runs. Not the future of an `async fn`, which would have room for the session twice, as an argument and
/// as a variable.
pub(crate) struct Running<S, E: EndpointState>(Option<Session<S, E>>);

impl<S, E: EndpointState> Running<S, E> {
    /// Dispatches no message until `wait` has finished. Called before the first poll.
    pub(crate) fn hold(&mut self, wait: Wait) {
        if let Some(session) = &mut self.0 {
            session.dispatcher.hold(wait);
        }
    }
}

impl<S: Transport, E: EndpointState> Future for Running<S, E> {
    type Output = CloseReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let cause = ready!(caught(|| running.poll(cx)).unwrap_or_else(transport_panicked));
        self.0.take().map_or(Poll::Pending, |session| Poll::Ready(session.finish(cause)))
    }
}

impl<S: Transport, E: EndpointState> Session<S, E> {
    pub(crate) fn new(stream: S, endpoint: Arc<E>, from: E::From, link: Link) -> Self {
        let limits = endpoint.limits();
        Self {
            reader: Reader::new(limits),
            dispatcher: Dispatcher::new(&*endpoint),
            writer: Writer::new(Arc::clone(&link.outbox), limits.write_stall),
            context: ConnectionContext { endpoint, from, link },
            stream,
            shutdown: Shutdown::Serving,
            account: None,
            probe_at: None,
            timer: DeadlineTimer::default(),
            found_empty: false,
        }
    }

    /// Runs the connection to its end. Once this resolves, nothing is written or dispatched any more.
    pub(crate) fn run(self) -> Running<S, E> {
        Running(Some(self))
    }

    /// Gives up what is left, and tells why the connection has ended.
    fn finish(mut self, cause: CloseCause) -> CloseReason {
        self.dispatcher.give_up(&mut self.reader, &self.context);
        self.reader.discard();
        self.dispatcher.count(&self.context);
        self.context.link.pending_requests.end(&cause);
        let writing = self.writer.take_writing();
        let unsent = self.outbox().give_up(self.context.limits().wire, writing);
        let reason = CloseReason {
            cause,
            unsent_messages: unsent.messages,
            unsent_bytes: unsent.bytes,
            unfinished_bytes: self.reader.unfinished(),
        };
        // The reason has to be reported, even if the stream panics as it is dropped.
        if let Err(panic) = caught(|| drop(self)) {
            tracing::error!(panic, "the transport of a connection panicked as it was dropped");
        }
        reason
    }

    fn outbox(&self) -> &Outbox {
        &self.context.link.outbox
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let (mut turn, mut further) = (self.begin_turn(), FurtherTurns::default());
        let outbox = &self.context.link.outbox;
        outbox.unpark();
        self.found_empty = false;
        if self.reader.unread().is_empty() && outbox.is_empty() && !outbox.is_told_to_close() {
            // Mostly it is the socket that has woken the session, and no step but this one has anything to do. What has
            // been received and not dispatched comes before more is read.
            let _ = self.poll_read(cx, &mut turn.intake);
        }
        loop {
            self.take_command();
            self.dispatcher.refresh(&self.reader, &self.context);
            let blocked = self.writer.poll_write(&mut self.stream, cx).is_pending();
            self.dispatcher.poll_responders(cx, self.writer.ended().is_none());
            let dispatched = self.poll_dispatch(cx, &mut turn).is_ready();
            self.count_responders();
            if self.dispatcher.scan(cx, &mut self.reader, &self.context).is_ready() {
                continue;
            }
            if let Some(cause) = self.poll_shutdown(cx, dispatched) {
                return Poll::Ready(cause);
            }
            if turn.is_over() {
                // The clock is checked even if the peer never pauses.
                self.look_at_clock(cx);
                self.dispatcher.count(&self.context);
                let goes_on = self.is_alone() && further.may_begin();
                // `yield_now` instead of a mere wake-up: the runtime first polls for I/O of other tasks.
                if !goes_on && std::pin::pin!(yield_now()).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                turn = self.begin_turn();
                // What has been received comes before more is read.
                continue;
            }
            if self.poll_read(cx, &mut turn.intake).is_ready() || self.poll_clock(cx).is_ready() {
                continue;
            }
            self.dispatcher.count(&self.context);
            // Where nothing can be written any more, queued bytes are no reason to stay awake.
            if self.outbox().park(cx.waker(), blocked || self.writer.ended().is_some()) {
                return Poll::Pending;
            }
        }
    }

    fn begin_turn(&mut self) -> Turn {
        self.dispatcher.begin_turn();
        Turn::default()
    }

    /// Whether nothing of this endpoint waits for this session to yield, and the program's tasks have another thread.
    fn is_alone(&self) -> bool {
        let has_threads = |runtime: Handle| {
            runtime.runtime_flavor() != RuntimeFlavor::CurrentThread && runtime.metrics().num_workers() > 1
        };
        self.context.endpoint.has_one_connection() && Handle::try_current().is_ok_and(has_threads)
    }

    fn take_command(&mut self) {
        match self.outbox().take_close() {
            Some(CloseCommand::Drain(cause)) => {
                let until = Instant::now().checked_add(self.context.limits().drain);
                self.drain(cause, until);
            }
            Some(CloseCommand::Abort(cause)) => self.shutdown.abort(cause),
            None => {}
        }
    }

    /// Begins the drain of the connection: queued bytes are written, and nothing more is dispatched.
    fn drain(&mut self, cause: CloseCause, until: Option<Instant>) {
        self.outbox().end();
        self.context.link.pending_requests.end(&cause);
        self.dispatcher.close_streams();
        self.shutdown.drain(cause, until);
    }

    /// Dispatches received messages. In a drain, only continues the message whose listeners are being called.
    fn poll_dispatch(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<()> {
        let (reader, context) = (&mut self.reader, &self.context);
        if self.shutdown.is_serving() {
            self.dispatcher.poll_dispatch(cx, reader, context, &mut turn.dispatch)
        } else {
            self.dispatcher.poll_held(cx, reader, context)
        }
    }

    // Ending

    /// The cause, once nothing is left to do. `dispatched` says whether every whole message has been dispatched.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>, dispatched: bool) -> Option<CloseCause> {
        if self.shutdown.is_serving()
            && dispatched
            && self.dispatcher.is_idle()
            && let Some(cause) = self.reader.ended().cloned()
        {
            // Everything from the peer is dispatched; the replies are still written.
            self.drain(cause, None);
        }
        let is_done = self.writer.is_done() && self.dispatcher.is_idle();
        match &self.shutdown {
            Shutdown::Aborted(cause) => return Some(cause.clone()),
            Shutdown::Draining { .. } if is_done && self.writer.ended().is_none() => {
                if self.writer.poll_shutdown(&mut self.stream, cx).is_pending() {
                    // A stream that can't be shut down gets no more time than a drain.
                    let until = Instant::now().checked_add(self.context.limits().drain);
                    self.shutdown.limit(until);
                    return None;
                }
                self.shutdown.linger(Instant::now().checked_add(LINGER));
            }
            _ => {}
        }
        // Closing a socket with unread bytes resets the connection, and a peer that writes to a closed socket gets an
        // error. Either ends a Node process that has no listener for `error` events of its sockets. So the session
        // reads on for a moment, until the peer closes as well.
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

/// The close cause after a panic of the stream, which may be code of the user. Other code of the user is called inside
/// guards of its own.
fn transport_panicked(panic: String) -> Poll<CloseCause> {
    Poll::Ready(cause_of(io::Error::other(format!("the transport panicked: {panic}"))))
}

impl<S, E: EndpointState> Drop for Session<S, E> {
    fn drop(&mut self) {
        // A session that is dropped with its runtime has not run to its end. Its futures may panic as they are dropped,
        // and senders must learn that the connection has ended.
        self.dispatcher.give_up(&mut self.reader, &self.context);
        let writing = self.writer.take_writing();
        self.context.link.outbox.give_up(self.context.limits().wire, writing);
        self.context.link.pending_requests.end(&CloseCause::Closed);
    }
}
