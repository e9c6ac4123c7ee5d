//! From received messages to the listeners and responders that get them.

use std::task::{Context, Poll};

use super::reader::Reader;
use crate::connection::closing::polled;
use crate::connection::look_ahead::may_be_answer;
use crate::connection::read_buffer::CHUNK;
use crate::connection::reporter::Reporter;
use crate::connection::responders::Responders;
use crate::connection::{Endpoint, Limits};
use crate::error::{MessageError, MessageErrorKind};
use crate::refusal::Refusal;
use crate::router::{Cached, Held, Report as _};
use crate::wire::{Frame, Kind, answer_at_the_end, question_at_the_end};

/// A message counts for at least this much of a turn: a peer that sends thousands of short ones gets no longer turn.
const LEAST_OF_TURN: usize = 128;

/// Where the messages of a connection go.
pub(super) struct Dispatcher<E: Endpoint> {
    listeners: Cached<E::From>,
    held: Option<HeldMessage<E::From>>,
    responders: Responders<E>,
    /// A reply still reaches the peer.
    peer_reads: bool,
}

/// The message at the front of what was received, while listeners of it are still to be called.
struct HeldMessage<F> {
    held: Held<F>,
    len: usize,
    taken: usize,
}

impl<E: Endpoint> Dispatcher<E> {
    pub(super) fn new(endpoint: &E) -> Self {
        Self {
            listeners: endpoint.router().cached(),
            held: None,
            responders: Responders::new(endpoint.limits().max_requests),
            peer_reads: true,
        }
    }

    /// Gives up the listeners that were removed, whatever they own: nothing else may come that would have them go.
    #[inline]
    pub(super) fn refresh(&mut self, reader: &Reader, reporter: &Reporter<E>) {
        let held = self.held.as_mut().map(|held| (&mut held.held, &reader.unread()[..held.len]));
        self.listeners.refresh(reporter.endpoint.router(), held);
    }

    /// Goes on with the responders that can. Once the peer reads no more they are dropped, and later ones after they have
    /// done what they can at once: no reply reaches it.
    pub(super) fn poll_responders(&mut self, cx: &mut Context<'_>, peer_reads: bool) {
        self.peer_reads = peer_reads;
        self.responders.poll(cx);
        if !peer_reads {
            self.responders.give_up();
        }
    }

    /// Calls the listeners of the messages received, in order. `Ready` once no whole message is left; `Pending` while one
    /// is held back, and when the turn is over.
    pub(super) fn poll_dispatch(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        reporter: &Reporter<E>,
        turn: &mut usize,
    ) -> Poll<()> {
        if self.poll_held(cx, reader, reporter).is_pending() {
            return Poll::Pending;
        }
        while *turn > 0 && !reporter.link.outbox.is_asked() {
            if self.held_back(reporter).is_some() {
                return Poll::Pending;
            }
            match reader.next_frame() {
                Frame::Message { len, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    if self.dispatch(cx, reader, reporter, len, taken).is_pending() {
                        return Poll::Pending;
                    }
                }
                Frame::TooLong { len, kept, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    report_too_long(reader.unread(), reporter, len, kept, taken);
                    reader.consume(taken);
                }
                Frame::Incomplete => {
                    reader.remove_excess();
                    reader.expect_rest(reporter.limits().incomplete_timeout);
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }

    /// Hands on the message at the front. `Pending` while one of its listeners has to be waited for.
    #[inline]
    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        reporter: &Reporter<E>,
        len: usize,
        taken: usize,
    ) -> Poll<()> {
        let bytes = &reader.unread()[..len];
        let is_blank = || bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if is_blank() || take_reply(bytes, reporter) {
            reader.consume(taken);
            return Poll::Ready(());
        }
        let router = reporter.endpoint.router();
        let held = router.dispatch(&mut self.listeners, bytes, reporter.from, reporter);
        self.begin_responders(cx, reporter, len);
        match held {
            None => {
                reader.consume(taken);
                Poll::Ready(())
            }
            Some(held) => {
                self.held = Some(HeldMessage { held, len, taken });
                self.poll_held(cx, reader, reporter)
            }
        }
    }

    /// Goes on with the message that is held. `Pending` while one of its listeners has to be waited for.
    pub(super) fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        reporter: &Reporter<E>,
    ) -> Poll<()> {
        while let Some(HeldMessage { held, len, taken }) = &mut self.held {
            let (poll, awaits_close) = polled(reporter.identity(), || held.poll(cx, reporter.from, reporter));
            let router = reporter.endpoint.router();
            if poll.is_pending() {
                // As long as nobody closes the endpoint, such a listener is awaited like any other: it may be one that
                // works and would only stop early.
                if awaits_close && router.is_closed() {
                    self.release_held(reader, reporter);
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            let (len, taken) = (*len, *taken);
            let bytes = &reader.unread()[..len];
            // A message that has reached one listener reaches all of them; only `close` keeps further listeners from being
            // called.
            match router.resume(&mut self.listeners, held, bytes, reporter.from, reporter) {
                Some(next) => *held = next,
                None => {
                    self.held = None;
                    reader.consume(taken);
                }
            }
            self.begin_responders(cx, reporter, len);
        }
        Poll::Ready(())
    }

    /// Lets a listener that waits for the endpoint to be closed run on by itself: the closing that has begun does not
    /// wait for it.
    fn release_held(&mut self, reader: &mut Reader, reporter: &Reporter<E>) {
        if let Some(HeldMessage { held, taken, .. }) = self.held.take() {
            let reporter = reporter.clone();
            tokio::spawn(async move { held.run(reporter.from, &reporter).await });
            reader.consume(taken);
        }
    }

    /// Takes on the responders that were called just now with a message of `len` bytes, and has each do what it can at
    /// once.
    fn begin_responders(&mut self, cx: &mut Context<'_>, reporter: &Reporter<E>, len: usize) {
        if self.listeners.begun.is_empty() {
            return;
        }
        let budget = reporter.endpoint.inbox();
        for mut begun in self.listeners.begun.drain(..) {
            // What fits in a chunk always finds a place.
            if len > CHUNK && !budget.has_room(0) {
                begun.refuse(budget.limit(), reporter.from, reporter);
            } else {
                self.responders.begin(begun, reporter, len);
            }
        }
        self.poll_responders(cx, self.peer_reads);
    }

    /// What holds back the messages that have arrived, as the number of bytes at the front that belong to none of them:
    /// a listener that has to be waited for, responders of which as many run as may, or replies without room.
    #[inline]
    pub(super) fn held_back(&self, reporter: &Reporter<E>) -> Option<usize> {
        match &self.held {
            Some(held) => Some(held.taken),
            None => {
                let is_full = self.responders.is_full() || self.waits_for_room(reporter);
                (is_full || reporter.link.outbox.is_overfull()).then_some(0)
            }
        }
    }

    /// Whether the inbox budget has no room for further responders. Those within a chunk always have.
    #[inline]
    pub(super) fn waits_for_room(&self, reporter: &Reporter<E>) -> bool {
        self.responders.len() > CHUNK && reporter.endpoint.inbox().is_full()
    }

    /// What the running responders take, in bytes.
    pub(super) fn responders_len(&self) -> usize {
        self.responders.len()
    }

    /// Hands replies to the requests that wait for them, past a message that holds back the others: what holds it may
    /// itself wait for a reply.
    pub(super) fn scan_replies(&self, reader: &mut Reader, reporter: &Reporter<E>) {
        // What arrived before a request was made holds no reply to it.
        if reporter.link.questions.is_waiting()
            && let Some(skip) = self.held_back(reporter)
        {
            let router = reporter.endpoint.router();
            reader.extract(skip, |bytes| {
                take_reply(bytes, reporter)
                    || (may_be_answer(bytes) && router.take_answer(bytes, reporter.from, reporter))
            });
        }
    }

    /// Whether nothing that was called is still at work.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_none() && self.responders.is_empty()
    }

    /// Whether a listener has to be waited for.
    pub(super) fn holds_a_message(&self) -> bool {
        self.held.is_some()
    }

    /// Hands over what was counted.
    pub(super) fn count(&mut self) {
        self.listeners.count();
    }

    /// Drops what is still at work, unfinished.
    pub(super) fn give_up(&mut self, reader: &mut Reader, reporter: &Reporter<E>) {
        self.responders.give_up();
        if let Some(HeldMessage { held, taken, .. }) = self.held.take() {
            held.give_up(reporter.from, reporter);
            reader.consume(taken);
        }
    }
}

/// Hands a reply to the request that waits for it, whose future reads the rest; one that nothing waits for is left.
fn take_reply<E: Endpoint>(bytes: &[u8], reporter: &Reporter<E>) -> bool {
    let taken = answer_at_the_end(bytes).is_some_and(|re| reporter.link.questions.answered(re, bytes));
    if taken {
        reporter.endpoint.router().count_answer(bytes);
    }
    taken
}

/// Reports the message over the limit at the front of `unread`, of which `kept` bytes are there and which takes `taken`
/// with its delimiter. It may be a request or a reply: then its requester is told, too.
fn report_too_long<E: Endpoint>(unread: &[u8], reporter: &Reporter<E>, size: u64, kept: usize, taken: usize) {
    let Limits { wire, max_message_len: limit, raw_len, .. } = *reporter.limits();
    let error = MessageError::new(MessageErrorKind::TooLong { limit }, &unread[..kept], size, raw_len);
    reporter.endpoint.message_error(error, reporter.from);
    let bytes = &unread[..taken - wire.end().len()];
    if let Some(re) = answer_at_the_end(bytes) {
        reporter.link.questions.too_long(re, size, limit);
    } else if let Some(id) = question_at_the_end(bytes) {
        let text = format!("it takes {size} bytes, over the limit of {limit}");
        let refusal = Refusal::new(Refusal::UNDECODABLE, text);
        reporter.refuse(&Kind::Question(id), "", refusal, reporter.from);
    }
}
