//! From received messages to the listeners and responders that get them.

use std::task::{Context, Poll};

use super::reader::Reader;
use crate::connection::closing::polled;
use crate::connection::context::ConnectionContext;
use crate::connection::read_buffer::CHUNK;
use crate::connection::reply_scanner::may_be_reply;
use crate::connection::running_responders::RunningResponders;
use crate::connection::{EndpointState, Limits};
use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::router::{Cached, PendingCall, Report as _};
use crate::wire::{EnvelopeKind, Frame, reply_id_at_end, request_id_at_end};

/// A message counts for at least this much of a turn: a peer that sends thousands of short ones gets no longer turn.
const LEAST_OF_TURN: usize = 128;

/// Where the messages of a connection go.
pub(super) struct Dispatcher<E: EndpointState> {
    listeners: Cached<E::From>,
    held: Option<HeldMessage<E::From>>,
    responders: RunningResponders<E>,
    /// A reply still reaches the peer.
    peer_reads: bool,
}

/// The message at the front of what was received, while listeners of it are still to be called.
struct HeldMessage<F> {
    held: PendingCall<F>,
    len: usize,
    taken: usize,
}

impl<E: EndpointState> Dispatcher<E> {
    pub(super) fn new(endpoint: &E) -> Self {
        Self {
            listeners: endpoint.router().cached(),
            held: None,
            responders: RunningResponders::new(endpoint.limits().max_requests),
            peer_reads: true,
        }
    }

    /// Gives up the listeners that were removed, whatever they own: nothing else may come that would have them go.
    #[inline]
    pub(super) fn refresh(&mut self, reader: &Reader, context: &ConnectionContext<E>) {
        let held = self.held.as_mut().map(|held| (&mut held.held, &reader.unread()[..held.len]));
        self.listeners.refresh(context.endpoint.router(), held);
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
        context: &ConnectionContext<E>,
        turn: &mut usize,
    ) -> Poll<()> {
        if self.poll_held(cx, reader, context).is_pending() {
            return Poll::Pending;
        }
        while *turn > 0 && !context.link.outbox.is_told_to_close() {
            if self.held_back(context).is_some() {
                return Poll::Pending;
            }
            match reader.next_frame() {
                Frame::Message { len, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    if self.dispatch(cx, reader, context, len, taken).is_pending() {
                        return Poll::Pending;
                    }
                }
                Frame::TooLong { len, kept, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    report_too_long(reader.unread(), context, len, kept, taken);
                    reader.consume(taken);
                }
                Frame::Incomplete => {
                    reader.remove_excess();
                    reader.expect_rest(context.limits().incomplete_timeout);
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
        context: &ConnectionContext<E>,
        len: usize,
        taken: usize,
    ) -> Poll<()> {
        let bytes = &reader.unread()[..len];
        let is_blank = || bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if is_blank() || take_reply(bytes, context) {
            reader.consume(taken);
            return Poll::Ready(());
        }
        let router = context.endpoint.router();
        let held = router.dispatch(&mut self.listeners, bytes, context.from, context);
        self.begin_responders(cx, context, len);
        match held {
            None => {
                reader.consume(taken);
                Poll::Ready(())
            }
            Some(held) => {
                self.held = Some(HeldMessage { held, len, taken });
                self.poll_held(cx, reader, context)
            }
        }
    }

    /// Goes on with the message that is held. `Pending` while one of its listeners has to be waited for.
    pub(super) fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        context: &ConnectionContext<E>,
    ) -> Poll<()> {
        while let Some(HeldMessage { held, len, taken }) = &mut self.held {
            let (poll, awaits_close) = polled(context.identity(), || held.poll(cx, context.from, context));
            let router = context.endpoint.router();
            if poll.is_pending() {
                // As long as nobody closes the endpoint, such a listener is awaited like any other: it may be one that
                // works and would only stop early.
                if awaits_close && router.is_closed() {
                    self.release_held(reader, context);
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            let (len, taken) = (*len, *taken);
            let bytes = &reader.unread()[..len];
            // A message that has reached one listener reaches all of them; only `close` keeps further listeners from being
            // called.
            match router.resume(&mut self.listeners, held, bytes, context.from, context) {
                Some(next) => *held = next,
                None => {
                    self.held = None;
                    reader.consume(taken);
                }
            }
            self.begin_responders(cx, context, len);
        }
        Poll::Ready(())
    }

    /// Lets a listener that waits for the endpoint to be closed run on by itself: the closing that has begun does not
    /// wait for it.
    fn release_held(&mut self, reader: &mut Reader, context: &ConnectionContext<E>) {
        if let Some(HeldMessage { held, taken, .. }) = self.held.take() {
            let context = context.clone();
            tokio::spawn(async move { held.run(context.from, &context).await });
            reader.consume(taken);
        }
    }

    /// Takes on the responders that were called just now with a message of `len` bytes, and has each do what it can at
    /// once.
    fn begin_responders(&mut self, cx: &mut Context<'_>, context: &ConnectionContext<E>, len: usize) {
        if self.listeners.responder_calls.is_empty() {
            return;
        }
        let budget = context.endpoint.inbox();
        for mut call in self.listeners.responder_calls.drain(..) {
            // What fits in a chunk always finds a place.
            if len > CHUNK && !budget.has_room(0) {
                call.refuse(budget.limit(), context.from, context);
            } else {
                self.responders.begin(call, context, len);
            }
        }
        self.poll_responders(cx, self.peer_reads);
    }

    /// What holds back the messages that have arrived, as the number of bytes at the front that belong to none of them:
    /// a listener that has to be waited for, responders of which as many run as may, or replies without room.
    #[inline]
    pub(super) fn held_back(&self, context: &ConnectionContext<E>) -> Option<usize> {
        match &self.held {
            Some(held) => Some(held.taken),
            None => {
                let is_full = self.responders.is_full() || self.waits_for_room(context);
                (is_full || context.link.outbox.is_overfull()).then_some(0)
            }
        }
    }

    /// Whether the inbox budget has no room for further responders. Those within a chunk always have.
    #[inline]
    pub(super) fn waits_for_room(&self, context: &ConnectionContext<E>) -> bool {
        self.responders.len() > CHUNK && context.endpoint.inbox().is_full()
    }

    /// What the running responders take, in bytes.
    pub(super) fn responders_len(&self) -> usize {
        self.responders.len()
    }

    /// Hands replies to the requests that wait for them, past a message that holds back the others: what holds it may
    /// itself wait for a reply.
    pub(super) fn scan_replies(&self, reader: &mut Reader, context: &ConnectionContext<E>) {
        // What arrived before a request was made holds no reply to it.
        if context.link.pending_requests.is_waiting()
            && let Some(skip) = self.held_back(context)
        {
            let router = context.endpoint.router();
            reader.extract(skip, |bytes| {
                take_reply(bytes, context)
                    || (may_be_reply(bytes) && router.take_reply(bytes, context.from, context))
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
    pub(super) fn give_up(&mut self, reader: &mut Reader, context: &ConnectionContext<E>) {
        self.responders.give_up();
        if let Some(HeldMessage { held, taken, .. }) = self.held.take() {
            held.give_up(context.from, context);
            reader.consume(taken);
        }
    }
}

/// Hands a reply to the request that waits for it, whose future reads the rest; one that nothing waits for is left.
fn take_reply<E: EndpointState>(bytes: &[u8], context: &ConnectionContext<E>) -> bool {
    let taken = reply_id_at_end(bytes).is_some_and(|re| context.link.pending_requests.answered(re, bytes));
    if taken {
        context.endpoint.router().count_reply(bytes);
    }
    taken
}

/// Reports the message over the limit at the front of `unread`, of which `kept` bytes are there and which takes `taken`
/// with its delimiter. It may be a request or a reply: then its requester is told, too.
fn report_too_long<E: EndpointState>(
    unread: &[u8],
    context: &ConnectionContext<E>,
    size: u64,
    kept: usize,
    taken: usize,
) {
    let Limits { wire, max_message_len: limit, raw_len, .. } = *context.limits();
    let error = MessageError::new(MessageErrorKind::TooLong { limit }, &unread[..kept], size, raw_len);
    context.endpoint.message_error(error, context.from);
    let bytes = &unread[..taken - wire.delimiter().len()];
    if let Some(re) = reply_id_at_end(bytes) {
        context.link.pending_requests.too_long(re, size, limit);
    } else if let Some(id) = request_id_at_end(bytes) {
        let text = format!("it takes {size} bytes, over the limit of {limit}");
        let error_reply = ErrorReply::new(ErrorReply::UNDECODABLE, text);
        context.refuse(&EnvelopeKind::Request(id), "", error_reply, context.from);
    }
}
