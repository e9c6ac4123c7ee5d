//! The running responders of one connection. Only the end of the connection waits for them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use foldhash::fast::RandomState;
use futures_util::stream::{FuturesUnordered, Stream};

use super::closing::polled;
use super::context::ConnectionContext;
use super::turn_waker::TurnWaker;
use super::{EndpointState, Limits};
use crate::listener::caught;
use crate::router::{OnCancel, OpenWindow, ResponderCall};
use crate::wire::RequestId;

/// The running responders, up to a limit.
pub(super) struct RunningResponders<E: EndpointState> {
    /// Made when first needed: most connections have none, and it takes memory.
    running: Option<Box<Set<E>>>,
    count: usize,
    /// The bytes that the responders and their requests take.
    len: usize,
    /// The windows of the streams among them. Made when first needed.
    // Boxed: most connections have none, and the map itself takes 48 bytes.
    streams: Option<Box<Streams>>,
}

/// The responders, and the waker that they are polled with.
struct Set<E: EndpointState> {
    responders: FuturesUnordered<Running<E>>,
    waker: TurnWaker,
}

impl<E: EndpointState> Set<E> {
    fn new() -> Box<Self> {
        Box::new(Self { responders: FuturesUnordered::new(), waker: TurnWaker::new() })
    }
}

type Streams = HashMap<RequestId, Arc<OpenWindow>, RandomState>;

/// The bytes that a running responder takes, beside its request: its place here and in the runtime, and its future.
const LEN: usize = 1024;

impl<E: EndpointState> RunningResponders<E> {
    pub(super) fn new() -> Self {
        Self { running: None, count: 0, len: 0, streams: None }
    }

    /// Takes on a responder that was called with a request of `len` bytes, unless it finishes at once.
    pub(super) fn begin(
        &mut self,
        mut call: ResponderCall<E::From>,
        context: &ConnectionContext<E>,
        len: usize,
    ) {
        // Many have nothing to wait for. One that has is polled again, with the others that wait.
        let mut at_once = Context::from_waker(Waker::noop());
        if call.stream().is_none() && call.poll(&mut at_once, context.from, context).is_ready() {
            return;
        }
        let len = LEN.saturating_add(len);
        self.count += 1;
        self.len += len;
        if let Some((id, window)) = call.stream() {
            self.streams.get_or_insert_default().insert(id.clone(), Arc::clone(window));
        }
        let is_stream = call.stream().is_some();
        context.endpoint.metrics().responder_began(is_stream);
        self.running.get_or_insert_with(Set::new).responders.push(Running {
            call,
            context: context.clone(),
            len,
            is_stream,
            waker: None,
        });
    }

    /// Polls the responders that were woken.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        self.poll_after(cx, |_| {});
    }

    /// Polls the responders that `wake` wakes, and those that were woken.
    fn poll_after(&mut self, cx: &mut Context<'_>, wake: impl FnOnce(&mut FuturesUnordered<Running<E>>)) {
        let Self { running, count, len, streams, .. } = self;
        let Some(Set { responders, waker }) = running.as_deref_mut().filter(|_| *count > 0) else { return };
        let mut wake = Some(wake);
        waker.poll(cx, |cx| {
            if let Some(wake) = wake.take() {
                wake(responders);
            }
            while let Poll::Ready(Some(finished)) = Pin::new(&mut *responders).poll_next(cx) {
                *count -= 1;
                *len -= finished.len;
                if let (Some(id), Some(map)) = (finished.stream, streams.as_mut()) {
                    map.remove(&id);
                    streams.take_if(|streams| streams.is_empty());
                }
            }
        });
    }

    /// Whether any stream is running.
    pub(super) fn has_streams(&self) -> bool {
        self.streams.is_some()
    }

    /// Whether a stream with this id is running.
    pub(super) fn is_stream(&self, id: &RequestId) -> bool {
        self.streams.as_ref().is_some_and(|streams| streams.contains_key(id))
    }

    /// Whether any responder replies to the request with this id.
    pub(super) fn replies_to(&self, id: &RequestId) -> bool {
        self.running.iter().flat_map(|set| &set.responders).any(|running| running.call.replies_to(id))
    }

    /// Opens the window of the stream with this id, and says whether there is one.
    pub(super) fn open_window(&mut self, id: &RequestId, bytes: u64, cx: &mut Context<'_>) -> bool {
        let window = self.streams.as_ref().and_then(|streams| streams.get(id)).map(Arc::clone);
        let Some(window) = window else { return false };
        self.poll_after(cx, |_| window.open(bytes));
        true
    }

    /// Tells the streams to end, because the endpoint closes.
    pub(super) fn close_streams(&self) {
        self.streams.iter().flat_map(|streams| streams.values()).for_each(|window| window.close());
    }

    /// Cancels the responders that reply to the request with this id, and says whether there are any.
    pub(super) fn cancel(&mut self, id: &RequestId, cx: &mut Context<'_>) -> bool {
        let found = self.replies_to(id);
        if found {
            self.poll_after(cx, |responders| {
                responders.iter_mut().filter(|running| running.call.replies_to(id)).for_each(Running::cancel);
            });
        }
        found
    }

    /// How many responders are running.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Drops all responders, unfinished: the peer reads no more.
    pub(super) fn give_up(&mut self) {
        (self.running, self.streams) = (None, None);
        (self.count, self.len) = (0, 0);
    }

    /// Whether as many responders run as allowed: one at least.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.count >= limits.max_requests.max(1)
    }

    /// The bytes that the responders and their requests take.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// One running responder.
struct Running<E: EndpointState> {
    call: ResponderCall<E::From>,
    context: ConnectionContext<E>,
    len: usize,
    /// It is counted among the streams in flight.
    is_stream: bool,
    /// Wakes the set of responders to poll this one. A cancel takes it.
    waker: Option<Waker>,
}

/// What a responder that has finished took.
struct Finished {
    len: usize,
    /// The id of the request, if it was a stream.
    stream: Option<RequestId>,
}

impl<E: EndpointState> Running<E> {
    fn finished(&self) -> Finished {
        Finished { len: self.len, stream: self.call.stream().map(|(id, _)| id.clone()) }
    }

    fn cancel(&mut self) {
        match self.call.on_cancel() {
            OnCancel::Drop => {
                self.call.give_up(self.context.from, &self.context);
                if let Some(waker) = self.waker.take() {
                    waker.wake();
                }
            }
            // Waking the program that waits for it may panic.
            OnCancel::Tell(tell) => drop(caught(|| tell())),
            OnCancel::Nothing => {}
        }
    }
}

impl<E: EndpointState> Future for Running<E> {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Finished> {
        let Self { call, context, waker, .. } = &mut *self;
        let (poll, awaits_close) = polled(context.identity(), || call.poll(cx, context.from, context));
        if poll.is_pending() && awaits_close && context.endpoint.router().is_closed() {
            // Closing has begun and does not wait for this responder.
            let (mut call, context) = (call.take(), context.clone());
            tokio::spawn(async move {
                std::future::poll_fn(|cx| call.poll(cx, context.from, &context)).await;
            });
            return Poll::Ready(self.finished());
        }
        if poll.is_pending() && waker.is_none() {
            // The set of responders polls a responder with the same waker every time.
            *waker = Some(cx.waker().clone());
        }
        poll.map(|()| self.finished())
    }
}

impl<E: EndpointState> Drop for Running<E> {
    fn drop(&mut self) {
        self.context.endpoint.metrics().responder_ended(self.is_stream);
        self.call.give_up(self.context.from, &self.context);
    }
}
