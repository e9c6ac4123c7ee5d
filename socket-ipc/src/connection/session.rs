//! The task of one connection: it writes the outbox, reads, and calls listeners, each as far as it can.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{unconstrained, yield_now};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::closing::polled;
use super::look_ahead::{LookAhead, may_be_answer};
use super::outbox::{Ask, Outbox};
use super::read_buffer::ReadBuffer;
use super::reporter::Reporter;
use super::responders::Responders;
use super::writer::{Writer, cause_of};
use super::{Endpoint, Limits, Link};
use crate::error::{MessageError, MessageErrorKind};
use crate::events::{CloseCause, CloseReason};
use crate::limits::{HELD_BACK_LEN, LINGER, RAW_LEN};
use crate::refusal::Refusal;
use crate::router::{Cached, Held, Report as _, Router};
use crate::wire::{Frame, Framer, Kind, answer_at_the_end, question_at_the_end};

/// How many bytes of messages a session handles before it lets other tasks have their turn.
const TURN: usize = 64 * 1024;

/// How many bytes a session reads before it does so: of a message without an end, or after the last that is
/// heard, none counts as handled.
const INTAKE: usize = 1024 * 1024;

/// A message counts for at least this much of a turn: whoever sends thousands of short ones takes no longer
/// one.
const LEAST_OF_TURN: usize = 128;

/// One connection, from its first byte to its end.
pub(crate) struct Session<S, E: Endpoint> {
    reporter: Reporter<E>,
    stream: S,
    /// What is called when the other side does not read.
    too_slow: CloseCause,

    received: ReadBuffer,
    framer: Framer,
    /// The other side will send no more, or nothing more can be read.
    read_ended: Option<CloseCause>,
    /// When the message at the front of `received` has to be complete.
    incomplete_until: Option<Instant>,

    listeners: Cached<E::From>,
    held: Option<HeldMessage<E::From>>,
    responders: Responders<E>,
    /// Made when first needed.
    look_ahead: Option<Box<LookAhead>>,

    writer: Writer,

    ending: Option<Ending>,
    alarm: Alarm,
}

/// The message at the front of the buffer, while listeners of it are still to be called.
struct HeldMessage<F> {
    held: Held<F>,
    len: usize,
    taken: usize,
}

struct Ending {
    cause: CloseCause,
    /// Until when what is queued is written, and the other side is heard out.
    until: Option<Instant>,
    /// The other side has been told that nothing more comes.
    shut: bool,
    cut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin, E: Endpoint> Session<S, E> {
    pub(crate) fn new(stream: S, endpoint: Arc<E>, from: E::From, link: Link, too_slow: CloseCause) -> Self {
        let Limits { wire, max_message_len, raw_len, write_stall, max_requests, .. } = *endpoint.limits();
        // A message over the limit is not stored, however much of one a report may hold.
        let keep = raw_len.min(max_message_len.max(RAW_LEN));
        Self {
            listeners: endpoint.router().cached(),
            writer: Writer::new(Arc::clone(&link.outbox), write_stall),
            reporter: Reporter { endpoint, from, link },
            stream,
            too_slow,
            received: ReadBuffer::new(max_message_len.saturating_add(wire.end().len())),
            framer: Framer::new(wire, max_message_len, keep),
            read_ended: None,
            incomplete_until: None,
            held: None,
            responders: Responders::new(max_requests),
            look_ahead: None,
            ending: None,
            alarm: Alarm::default(),
        }
    }

    /// Runs the connection to its end. It has ended when this returns: nothing is written or heard
    /// afterwards.
    pub(crate) async fn run(mut self) -> CloseReason {
        let cause = poll_fn(|cx| self.poll(cx)).await;
        if let Some(HeldMessage { held, taken, .. }) = self.held.take() {
            held.give_up(self.reporter.from, &self.reporter);
            self.consume(taken);
        }
        self.discard();
        self.listeners.count();
        self.reporter.link.questions.end(&cause);
        let writing = self.writer.take_writing();
        let unsent = self.outbox().give_up(self.limits().wire, writing);
        CloseReason {
            cause,
            unsent_messages: unsent.messages,
            unsent_bytes: unsent.bytes,
            unfinished_bytes: self.framer.unfinished(self.received.unread()),
        }
    }

    fn outbox(&self) -> &Outbox {
        &self.reporter.link.outbox
    }

    fn limits(&self) -> &Limits {
        self.reporter.endpoint.limits()
    }

    fn router(&self) -> &Router<E::From> {
        self.reporter.endpoint.router()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseCause> {
        let (mut turn, mut intake) = (TURN, INTAKE);
        loop {
            self.take_ask();
            self.responders.poll(cx);
            let blocked =
                self.writer.poll_write(&mut self.stream, cx).is_pending() || self.writer.ended().is_some();
            let all_heard = self.poll_listeners(cx, &mut turn).is_ready();
            self.look_ahead();
            if self.writer.ended().is_some() && self.read_ended.is_some() {
                self.responders.give_up();
            }
            if let Some(cause) = self.poll_end(cx, all_heard) {
                return Poll::Ready(cause);
            }
            if turn == 0 || intake == 0 {
                // A peer that never pauses must not keep the clock from being looked at.
                self.look_at_clock();
                self.listeners.count();
                // Not just woken again: the runtime is to look at what has arrived for others before it comes
                // back.
                if std::pin::pin!(yield_now()).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                (turn, intake) = (TURN, INTAKE);
            }
            if self.poll_read(cx, &mut intake).is_ready() || self.poll_deadlines(cx).is_ready() {
                continue;
            }
            self.listeners.count();
            if self.outbox().park(cx.waker(), blocked) {
                return Poll::Pending;
            }
        }
    }

    fn take_ask(&mut self) {
        match self.outbox().take_ask() {
            Some(Ask::Drain(cause)) => {
                let until = Instant::now().checked_add(self.limits().drain);
                self.end(cause, until);
            }
            Some(Ask::Cut(cause)) => self.cut(cause),
            None => {}
        }
    }

    /// Begins the end of the connection: what is queued is written, nothing more is heard.
    fn end(&mut self, cause: CloseCause, until: Option<Instant>) {
        self.outbox().end();
        self.reporter.link.questions.end(&cause);
        let ending = self.ending.get_or_insert(Ending { cause, until, shut: false, cut: false });
        ending.until = ending.until.or(until);
    }

    fn cut(&mut self, cause: CloseCause) {
        self.ending = Some(Ending { cause, until: None, shut: false, cut: true });
    }

    // Listening

    /// Calls listeners for the messages received. `Pending` while one has to be waited for, or room for answers, or once
    /// the turn is over.
    fn poll_listeners(&mut self, cx: &mut Context<'_>, turn: &mut usize) -> Poll<()> {
        if self.poll_held(cx).is_pending() {
            return Poll::Pending;
        }
        while *turn > 0 && !self.outbox().is_asked() && self.ending.is_none() {
            if self.held_back().is_some() {
                return Poll::Pending;
            }
            let unread = self.received.unread();
            match self.framer.next(unread) {
                Frame::Message { len, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    self.incomplete_until = None;
                    let bytes = &unread[..len];
                    if bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
                        self.consume(taken);
                        continue;
                    }
                    if self.take_answer(bytes) {
                        self.consume(taken);
                        continue;
                    }
                    let Reporter { endpoint, from, .. } = &self.reporter;
                    let held = endpoint.router().dispatch(&mut self.listeners, bytes, *from, &self.reporter);
                    self.begin_responders(cx);
                    match held {
                        None => self.consume(taken),
                        Some(held) => {
                            self.held = Some(HeldMessage { held, len, taken });
                            if self.poll_held(cx).is_pending() {
                                return Poll::Pending;
                            }
                        }
                    }
                }
                Frame::TooLong { len, kept, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    self.incomplete_until = None;
                    let kind = MessageErrorKind::TooLong { limit: self.limits().max_message_len };
                    let error = MessageError::new(kind, &unread[..kept], len, self.limits().raw_len);
                    self.reporter.endpoint.message_error(error, self.reporter.from);
                    self.tell_of_too_long(taken, len);
                    self.consume(taken);
                }
                Frame::Incomplete => {
                    self.remove_excess();
                    if self.received.len() > 0 && self.incomplete_until.is_none() {
                        self.incomplete_until = Instant::now().checked_add(self.limits().incomplete_timeout);
                    }
                    return Poll::Ready(());
                }
            }
        }
        if *turn > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Tells whoever asked that the message at the front, which takes `taken` bytes with its end, is over the limit: it
    /// may be a question, or an answer.
    fn tell_of_too_long(&self, taken: usize, size: u64) {
        let Limits { wire, max_message_len: limit, .. } = *self.limits();
        let bytes = &self.received.unread()[..taken - wire.end().len()];
        if let Some(re) = answer_at_the_end(bytes) {
            self.reporter.link.questions.too_long(re, size, limit);
        } else if let Some(id) = question_at_the_end(bytes) {
            let text = format!("it takes {size} bytes, over the limit of {limit}");
            let refusal = Refusal::new(Refusal::UNDECODABLE, text);
            self.reporter.refuse(Kind::Question(id), "", refusal, self.reporter.from);
        }
    }

    /// Takes the responders on that were called just now, and has each do what it can at once.
    fn begin_responders(&mut self, cx: &mut Context<'_>) {
        if self.listeners.begun.is_empty() {
            return;
        }
        for begun in self.listeners.begun.drain(..) {
            self.responders.begin(begun, &self.reporter);
        }
        self.responders.poll(cx);
    }

    /// What holds back the messages that have arrived, as the bytes at the front that are none of them: a listener that
    /// has to be waited for, or answers that have no room.
    fn held_back(&self) -> Option<usize> {
        match &self.held {
            Some(held) => Some(held.taken),
            None => (self.responders.is_full() || self.outbox().is_overfull()).then_some(0),
        }
    }

    /// Goes on with the message that is held back. `Pending` while one of its listeners has to be waited for.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(HeldMessage { held, len, taken }) = &mut self.held {
            let reporter = &self.reporter;
            let (poll, awaits_close) = polled(reporter.identity(), || held.poll(cx, reporter.from, reporter));
            if poll.is_pending() {
                // As long as nobody closes the endpoint, such a listener is awaited like any other: it may be
                // one that works and would only stop early.
                if awaits_close && self.router().is_closed() {
                    self.release_held();
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            let (len, taken) = (*len, *taken);
            let bytes = &self.received.unread()[..len];
            // Whoever has begun to hear a message hears it whole; only `close` keeps further listeners from
            // being called.
            let router = reporter.endpoint.router();
            match router.resume(&mut self.listeners, held, bytes, reporter.from, reporter) {
                Some(next) => *held = next,
                None => {
                    self.held = None;
                    self.consume(taken);
                }
            }
            self.begin_responders(cx);
        }
        Poll::Ready(())
    }

    /// Lets a listener that waits for the endpoint to be closed run on by itself: the closing that has begun
    /// does not wait for it.
    fn release_held(&mut self) {
        if let Some(HeldMessage { held, taken, .. }) = self.held.take() {
            let reporter = self.reporter.clone();
            tokio::spawn(async move { held.run(reporter.from, &reporter).await });
            self.consume(taken);
        }
    }

    /// Takes `count` bytes off the front.
    fn consume(&mut self, count: usize) {
        self.received.consume(count);
        if let Some(look_ahead) = &mut self.look_ahead {
            look_ahead.taken(count);
        }
    }

    /// Gives up what a message at the front has over the limit.
    fn remove_excess(&mut self) {
        if let Some(excess) = self.framer.excess(self.received.unread()) {
            self.received.remove(&[excess]);
            if let Some(look_ahead) = &mut self.look_ahead {
                look_ahead.disturbed();
            }
        }
    }

    /// Hands answers to whoever waits for them past a message that holds back the others: a listener may itself wait
    /// for an answer.
    fn look_ahead(&mut self) {
        let Some(skip) = self.held_back() else { return };
        // What arrived before anybody asked holds no answer.
        if !self.reporter.link.questions.is_waiting() {
            return;
        }
        let Limits { wire, max_message_len, .. } = *self.limits();
        let (end, mut taken) = (wire.end().len(), Vec::new());
        let made = || Box::new(LookAhead::new(wire, max_message_len));
        // Taken from its place, so that the rest of the session can be looked at.
        let mut look_ahead = self.look_ahead.take().unwrap_or_else(made);
        while let Some(place) = look_ahead.next(self.received.unread(), skip, &self.framer) {
            let bytes = &self.received.unread()[place.start..place.end - end];
            if self.take_answer(bytes)
                || (may_be_answer(bytes)
                    && self.router().take_answer(bytes, self.reporter.from, &self.reporter))
            {
                taken.push(place);
            }
        }
        if !taken.is_empty() {
            self.received.remove(&taken);
            look_ahead.removed(taken.iter().map(Range::len).sum());
            if skip == 0 {
                self.framer.restart();
            }
        }
        self.look_ahead = Some(look_ahead);
    }

    /// Hands an answer to whoever asked, who reads the rest; one that nobody waits for is left.
    fn take_answer(&self, bytes: &[u8]) -> bool {
        let taken =
            answer_at_the_end(bytes).is_some_and(|re| self.reporter.link.questions.answered(re, bytes));
        if taken {
            self.router().count_answer(bytes);
        }
        taken
    }

    /// How much may have arrived behind what holds it back.
    fn held_back_len(&self) -> usize {
        // The answer that it waits for, perhaps.
        let answer =
            if self.reporter.link.questions.is_waiting() { self.limits().max_message_len } else { 0 };
        HELD_BACK_LEN.saturating_add(answer)
    }

    // Reading

    /// Reads what has arrived. `Pending` while nothing has, nothing more will, or enough is held back
    /// already.
    fn poll_read(&mut self, cx: &mut Context<'_>, intake: &mut usize) -> Poll<()> {
        let discarding = self.ending.is_some() && self.held.is_none();
        let full = self
            .held_back()
            .is_some_and(|front| self.received.len() >= front.saturating_add(self.held_back_len()));
        if self.read_ended.is_some() || full {
            return Poll::Pending;
        }
        // Without tokio's budget, which a turn of our own stands in for: `Pending` is to mean that nothing
        // has arrived.
        let mut filling = unconstrained(poll_fn(|cx| self.received.poll_fill(&mut self.stream, cx)));
        match Pin::new(&mut filling).poll(cx) {
            Poll::Ready(Ok(0)) => self.end_reading(CloseCause::PeerClosed, cx),
            Poll::Ready(Ok(count)) => *intake = intake.saturating_sub(count),
            // Nothing has gone wrong: it is to be tried again.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => self.end_reading(cause_of(error), cx),
            // Whoever reads no more and has nothing left for us is gone.
            Poll::Pending => match self.writer.ended().cloned() {
                Some(cause) => self.end_reading(cause, cx),
                None => return Poll::Pending,
            },
        }
        if discarding {
            self.discard();
        }
        Poll::Ready(())
    }

    /// Drops the messages that were received, unheard; what is left is the unfinished one.
    fn discard(&mut self) {
        while let Frame::Message { taken, .. } | Frame::TooLong { taken, .. } =
            self.framer.next(self.received.unread())
        {
            self.consume(taken);
        }
        self.remove_excess();
    }

    fn end_reading(&mut self, cause: CloseCause, cx: &mut Context<'_>) {
        // Whatever was sent has arrived, and the answers in it have been found.
        self.reporter.link.questions.end(&cause);
        self.read_ended = Some(cause);
        // Whoever sends to a peer that is gone learns it now, whatever its listeners are still busy with.
        self.writer.probe(&mut self.stream, cx);
    }

    // Ending

    /// The cause, once nothing is left to do.
    fn poll_end(&mut self, cx: &mut Context<'_>, all_heard: bool) -> Option<CloseCause> {
        if self.ending.is_none() && all_heard && self.responders.is_empty() {
            // What the other side sent has been heard; what it asked for is still written.
            let cause = self.read_ended.clone()?;
            self.end(cause, None);
        }
        let ending = self.ending.as_mut()?;
        if ending.cut {
            return Some(ending.cause.clone());
        }
        if !self.writer.is_done() || self.held.is_some() || !self.responders.is_empty() {
            return None;
        }
        if self.writer.ended().is_none() && !ending.shut {
            if self.writer.poll_shutdown(&mut self.stream, cx).is_pending() {
                // A stream that can't even be shut down has no more time than the rest of a drain.
                ending.until = ending
                    .until
                    .or_else(|| Instant::now().checked_add(self.reporter.endpoint.limits().drain));
                return None;
            }
            ending.shut = true;
            let linger = Instant::now().checked_add(LINGER);
            ending.until = [ending.until, linger].into_iter().flatten().min();
        }
        // Closing a socket with something unread in it resets the connection, and a peer that writes to it
        // once it is closed gets an error: either ends a Node process that listens for no `error` of
        // its sockets. So the other side is read from until it has seen the end and closes as well,
        // for a moment.
        if self.writer.ended().is_none() && self.read_ended.is_none() {
            return None;
        }
        Some(ending.cause.clone())
    }

    /// When the message at the front has to be complete, the socket to have taken something, and the drain to
    /// be over.
    fn deadlines(&self) -> [Option<Instant>; 3] {
        // Whoever is not read from can't be late.
        let incomplete = if self.held_back().is_none() && self.read_ended.is_none() && self.ending.is_none() {
            self.incomplete_until
        } else {
            None
        };
        [incomplete, self.writer.stalled_until(), self.ending.as_ref().and_then(|ending| ending.until)]
    }

    /// Waits for the next deadline. `Ready` when one has passed, which changes what there is to do.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.deadlines().into_iter().flatten().min();
        if next.is_none() {
            return Poll::Pending;
        }
        // The runtime holds back timers, too, from a task that has been busy for long; the clock it does not.
        let rang = self.alarm.poll(cx, next).is_ready();
        if self.look_at_clock() || rang { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ends the connection, or its drain, if a deadline has passed; says whether one has.
    fn look_at_clock(&mut self) -> bool {
        let [incomplete, stalled, drained] = self.deadlines();
        if [incomplete, stalled, drained].iter().all(Option::is_none) {
            return false;
        }
        let now = Instant::now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(drained) {
            if let Some(ending) = &mut self.ending {
                ending.cut = true;
            }
        } else if passed(stalled) {
            self.cut(self.too_slow.clone());
        } else if passed(incomplete) {
            self.report_incomplete(self.limits().incomplete_timeout);
            self.cut(CloseCause::Incomplete);
        } else {
            return false;
        }
        true
    }

    fn report_incomplete(&self, timeout: Duration) {
        let unread = self.received.unread();
        let kind = MessageErrorKind::Incomplete { timeout };
        let error = MessageError::new(kind, unread, self.framer.unfinished(unread), self.limits().raw_len);
        self.reporter.endpoint.message_error(error, self.reporter.from);
    }
}

impl<S, E: Endpoint> Drop for Session<S, E> {
    fn drop(&mut self) {
        // A session that is dropped with its runtime has not run to its end, and whoever sends must not take
        // it for alive.
        let writing = self.writer.take_writing();
        self.reporter.link.outbox.give_up(self.reporter.endpoint.limits().wire, writing);
        self.reporter.link.questions.end(&CloseCause::Closed);
    }
}
