//! From received messages to their listeners and responders.

mod scan;

use std::cell::OnceCell;
use std::task::{Context, Poll};

use super::held_requests::HeldRequests;
use super::last_stream::LastStream;
use super::reader::Reader;
use super::rejections::{
    is_forbidden, no_place, no_room, rejected_beside_streams, report_in_flight, report_too_long,
};
use crate::connection::EndpointState;
use crate::connection::closing::polled;
use crate::connection::context::ConnectionContext;
use crate::connection::control::Control;
use crate::connection::read_buffer::CHUNK;
use crate::connection::running_responders::RunningResponders;
use crate::router::{Cached, PendingCall, Wait};
use crate::wire::{EnvelopeKind, Frame, RequestId, StreamPart, Wire, reply_at_end};

/// A message counts for at least this much of a turn, so that thousands of short ones make no longer turn.
const LEAST_OF_TURN: usize = 128;

/// How much of a turn a cancel uses for each running responder that it is compared with.
const SEARCH_COST: usize = 16;

/// Calls the listeners of the messages of a connection.
pub(super) struct Dispatcher<E: EndpointState> {
    listeners: Cached<E::From>,
    // Boxed: most connections hold none, and it takes memory.
    held: Option<Box<HeldMessage<E::From>>>,
    responders: RunningResponders<E>,
    /// The peer still reads replies.
    peer_reads: bool,
    /// How many responders have begun in this turn.
    begun: u32,
    /// The requests among the messages that are held back. Made when first needed: it takes memory.
    held_requests: Option<Box<HeldRequests>>,
    /// Made when the first item arrives.
    last_stream: Option<Box<LastStream>>,
}

/// The message at the front of the read buffer, while one of its listeners is running.
struct HeldMessage<F> {
    pending: PendingCall<F>,
    len: usize,
    taken: usize,
    /// The id of the message, if it is a request. It is read when a cancel arrives.
    request: OnceCell<Option<RequestId>>,
}

impl<F: Copy> HeldMessage<F> {
    fn new(pending: PendingCall<F>, len: usize, taken: usize) -> Box<Self> {
        Box::new(Self { pending, len, taken, request: OnceCell::new() })
    }

    /// Keeps its responder from being called, if the message is one of these requests. `bytes` are the bytes of the
    /// message.
    fn cancel(&mut self, wire: Wire, bytes: &[u8], ids: &[RequestId]) {
        let request = self.request.get_or_init(|| match wire.decode(bytes).ok()?.kind {
            EnvelopeKind::Request(id) => Some(id),
            EnvelopeKind::Message | EnvelopeKind::Reply(_) => None,
        });
        if request.as_ref().is_some_and(|request| ids.contains(request)) {
            self.pending.cancel(wire, bytes);
        }
    }
}

impl<E: EndpointState> Dispatcher<E> {
    pub(super) fn new(endpoint: &E) -> Self {
        Self {
            listeners: endpoint.router().cached(),
            held: None,
            responders: RunningResponders::new(),
            peer_reads: true,
            begun: 0,
            held_requests: None,
            last_stream: None,
        }
    }

    /// Holds back the first message of the connection until `wait` has finished. `wait` is held as a message of no
    /// bytes whose listener is running.
    pub(super) fn hold(&mut self, wait: Wait) {
        self.held = Some(HeldMessage::new(PendingCall::before_first(wait), 0, 0));
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self) {
        self.begun = 0;
    }

    /// Drops the listeners that were removed, with everything they own. They must not stay until the next message
    /// arrives.
    #[inline]
    pub(super) fn refresh(&mut self, reader: &Reader, context: &ConnectionContext<E>) {
        let held = self.held.as_mut().map(|held| (&mut held.pending, &reader.unread()[..held.len]));
        self.listeners.refresh(context.endpoint.router(), held);
    }

    /// Polls the responders. Once the peer reads no more, they are dropped, as no reply reaches it. A responder that is
    /// called after that is polled once before it is dropped.
    pub(super) fn poll_responders(&mut self, cx: &mut Context<'_>, peer_reads: bool) {
        self.peer_reads = peer_reads;
        self.responders.poll(cx);
        if !peer_reads {
            self.responders.give_up();
        }
    }

    /// Calls the listeners of the messages received, in order. `Ready` once no whole message is left; `Pending` while
    /// one is held back, and when the turn is over.
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
            if self.dispatch_run(reader, context, turn) {
                continue;
            }
            match reader.next_frame() {
                Frame::Message { len, taken } => {
                    *turn = turn.saturating_sub(taken.max(LEAST_OF_TURN));
                    if self.dispatch(cx, reader, context, len, taken, turn).is_pending() {
                        return Poll::Pending;
                    }
                    if self.begun > 0 && self.begun as usize >= context.limits().max_requests {
                        // A client that requests and cancels in a loop begins no more than `max_requests` responders a
                        // turn.
                        *turn = 0;
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

    /// Dispatches the messages at the front as long as they are for the listener of the last one, and it does not have to
    /// wait. Says whether it dispatched any.
    #[inline]
    fn dispatch_run(
        &mut self,
        reader: &mut Reader,
        context: &ConnectionContext<E>,
        turn: &mut usize,
    ) -> bool {
        let Some(front) = self.listeners.front_of_run() else { return false };
        if context.endpoint.authorizes() {
            return false;
        }
        let Some(lines) = reader.lines(front) else { return false };
        let (router, outbox) = (context.endpoint.router(), &context.link.outbox);
        let taken = router.dispatch_run(&mut self.listeners, lines, context.from, context, |len| {
            *turn = turn.saturating_sub(len.max(LEAST_OF_TURN));
            *turn > 0 && !outbox.is_told_to_close() && !outbox.is_overfull()
        });
        if taken > 0 {
            reader.consume_lines(taken);
        }
        taken > 0
    }

    /// Dispatches the message at the front. `Pending` while one of its listeners is running.
    #[inline]
    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        context: &ConnectionContext<E>,
        len: usize,
        taken: usize,
        turn: &mut usize,
    ) -> Poll<()> {
        let bytes = &reader.unread()[..len];
        let is_blank = || bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        if is_blank() || take_reply(bytes, context, &mut self.last_stream) {
            reader.consume(taken);
            return Poll::Ready(());
        }
        if let Some(control) = Control::read(context.limits().wire, bytes) {
            context.endpoint.router().count_reply(bytes);
            match control {
                Control::Cancel(id) => {
                    *turn = turn.saturating_sub(self.responders.count() * SEARCH_COST);
                    self.responders.cancel(&id, cx);
                }
                Control::More(id, more) => {
                    self.responders.open_window(&id, more, cx);
                }
            }
            reader.consume(taken);
            return Poll::Ready(());
        }
        if rejected_beside_streams(&self.responders, context, bytes) {
            reader.consume(taken);
            return Poll::Ready(());
        }
        if context.endpoint.authorizes() && is_forbidden(context, bytes) {
            reader.consume(taken);
            return Poll::Ready(());
        }
        let router = context.endpoint.router();
        let pending = router.dispatch(&mut self.listeners, bytes, context.from, context);
        self.begin_responders(cx, context, bytes);
        match pending {
            None => {
                reader.consume(taken);
                Poll::Ready(())
            }
            Some(pending) => {
                self.held = Some(HeldMessage::new(pending, len, taken));
                self.poll_held(cx, reader, context)
            }
        }
    }

    /// Continues the message that is held. `Pending` while one of its listeners is running.
    pub(super) fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        context: &ConnectionContext<E>,
    ) -> Poll<()> {
        while let Some(HeldMessage { pending, len, taken, .. }) = self.held.as_deref_mut() {
            let (poll, awaits_close) = polled(context.identity(), || pending.poll(cx, context.from, context));
            let router = context.endpoint.router();
            if poll.is_pending() {
                // Until the endpoint begins to close, such a listener is awaited like any other: it may wait for the
                // close only to stop early then.
                if awaits_close && router.is_closed() {
                    self.release_held(reader, context);
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            let (len, taken) = (*len, *taken);
            let bytes = &reader.unread()[..len];
            // A message that has reached one listener reaches all of them, unless `close` comes in between.
            let next = router.resume(&mut self.listeners, pending, bytes, context.from, context);
            let is_done = next.is_none();
            match next {
                Some(next) => *pending = next,
                None => self.held = None,
            }
            self.begin_responders(cx, context, bytes);
            if is_done {
                reader.consume(taken);
            }
        }
        Poll::Ready(())
    }

    /// Spawns a listener that waits for the endpoint to close: closing does not wait for it.
    fn release_held(&mut self, reader: &mut Reader, context: &ConnectionContext<E>) {
        if let Some(held) = self.held.take() {
            let HeldMessage { pending, taken, .. } = *held;
            let context = context.clone();
            tokio::spawn(async move { pending.run(context.from, &context).await });
            reader.consume(taken);
        }
    }

    /// Takes on the responders that were just called with a message, if any were, and polls them.
    #[inline(always)]
    fn begin_responders(&mut self, cx: &mut Context<'_>, context: &ConnectionContext<E>, bytes: &[u8]) {
        if !self.listeners.responder_calls.is_empty() {
            self.begin_called_responders(cx, context, bytes);
        }
    }

    fn begin_called_responders(
        &mut self,
        cx: &mut Context<'_>,
        context: &ConnectionContext<E>,
        bytes: &[u8],
    ) {
        let budget = context.endpoint.inbox();
        for mut call in self.listeners.responder_calls.drain(..) {
            self.begun += 1;
            // The stream has not been polled, so nothing of it has run.
            if let Some((id, _)) = call.stream()
                && self.responders.replies_to(id)
            {
                report_in_flight(context, bytes, id);
                call.give_up(context.from, context);
                continue;
            }
            // A request that fits in a chunk always has room.
            if bytes.len() > CHUNK && !budget.has_room(0) {
                call.reject(no_room(budget.limit()), context.from, context);
            } else if self.responders.is_full(context.limits()) && self.responders.has_streams() {
                call.reject(no_place(context.limits()), context.from, context);
            } else {
                self.responders.begin(call, context, bytes.len());
            }
        }
        self.poll_responders(cx, self.peer_reads);
    }

    /// Tells the running streams to end, because the endpoint closes.
    pub(super) fn close_streams(&self) {
        self.responders.close_streams();
    }

    /// Whether received messages are held back: by a running listener, by as many running responders as allowed, or by
    /// replies without room. Returns the length of the held message at the front, which does not count as held back; 0
    /// if there is none.
    #[inline]
    pub(super) fn held_back(&self, context: &ConnectionContext<E>) -> Option<usize> {
        match &self.held {
            Some(held) => Some(held.taken),
            None => {
                // A stream may run for ever, so nothing waits for its place.
                let is_full = self.responders.is_full(context.limits()) && !self.responders.has_streams();
                (is_full || self.waits_for_room(context) || context.link.outbox.is_overfull()).then_some(0)
            }
        }
    }

    /// Whether the inbox budget has no room for further responders. Responders within a chunk always have room.
    #[inline]
    pub(super) fn waits_for_room(&self, context: &ConnectionContext<E>) -> bool {
        self.responders.len() > CHUNK && context.endpoint.inbox().is_full()
    }

    /// Whether any responder is running.
    pub(super) fn has_responders(&self) -> bool {
        !self.responders.is_empty()
    }

    /// What the running responders take, in bytes.
    pub(super) fn responders_len(&self) -> usize {
        self.responders.len()
    }

    /// Whether no listener or responder is running.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_none() && self.responders.is_empty()
    }

    /// Whether a listener is running.
    pub(super) fn holds_a_message(&self) -> bool {
        self.held.is_some()
    }

    /// Adds what was counted to the metrics.
    pub(super) fn count(&mut self, context: &ConnectionContext<E>) {
        self.listeners.count();
        if let Some(last_stream) = &mut self.last_stream
            && let (items @ 1.., bytes) = last_stream.take_uncounted()
        {
            context.endpoint.router().count_replies(items, bytes);
        }
    }

    /// Drops the running listener and responders, unfinished.
    pub(super) fn give_up(&mut self, reader: &mut Reader, context: &ConnectionContext<E>) {
        self.responders.give_up();
        if let Some(held) = self.held.take() {
            held.pending.give_up(context.from, context);
            reader.consume(held.taken);
        }
    }
}

/// Hands a reply to the request that waits for it; the future of the request decodes it. `false` if no request waits.
#[inline]
fn take_reply<E: EndpointState>(
    bytes: &[u8],
    context: &ConnectionContext<E>,
    last_stream: &mut Option<Box<LastStream>>,
) -> bool {
    // Most connections have sent no request: then no message is searched for a `re`.
    context.link.pending_requests.is_waiting() && take_awaited(bytes, context, last_stream)
}

fn take_awaited<E: EndpointState>(
    bytes: &[u8],
    context: &ConnectionContext<E>,
    last_stream: &mut Option<Box<LastStream>>,
) -> bool {
    let requests = &context.link.pending_requests;
    let Some((re, part)) = reply_at_end(bytes) else { return false };
    let is_item = part == StreamPart::Item;
    if is_item && last_stream.as_mut().is_some_and(|last_stream| last_stream.store(re, bytes)) {
        return true;
    }
    if !requests.resolve(re, bytes) {
        return false;
    }
    context.endpoint.router().count_reply(bytes);
    if is_item {
        last_stream.get_or_insert_default().stored(re, requests);
    }
    true
}
