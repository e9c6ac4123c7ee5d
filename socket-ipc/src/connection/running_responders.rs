//! The running responders of one connection. Only the end of the connection waits for them.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, Stream};

use super::EndpointState;
use super::closing::polled;
use super::context::ConnectionContext;
use crate::listener::caught;
use crate::router::{OnCancel, ResponderCall};
use crate::wire::RequestId;

/// The running responders, up to a limit.
pub(super) struct RunningResponders<E: EndpointState> {
    /// Made when first needed: most connections have none, and it takes memory.
    running: Option<FuturesUnordered<Running<E>>>,
    count: usize,
    /// The bytes that the responders and their requests take.
    len: usize,
    limit: usize,
}

/// The bytes that a running responder takes, beside its request: its place here and in the runtime, and its future.
const LEN: usize = 1024;

impl<E: EndpointState> RunningResponders<E> {
    pub(super) fn new(limit: usize) -> Self {
        Self { running: None, count: 0, len: 0, limit: limit.max(1) }
    }

    /// Takes on a responder that was called with a request of `len` bytes.
    pub(super) fn begin(&mut self, call: ResponderCall<E::From>, context: &ConnectionContext<E>, len: usize) {
        let len = LEN.saturating_add(len);
        self.count += 1;
        self.len += len;
        self.running.get_or_insert_default().push(Running {
            call,
            context: context.clone(),
            len,
            waker: None,
        });
    }

    /// Polls the responders that were woken.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(running) = self.running.as_mut().filter(|_| self.count > 0) else { return };
        while let Poll::Ready(Some(len)) = Pin::new(&mut *running).poll_next(cx) {
            self.count -= 1;
            self.len -= len;
        }
    }

    /// Cancels the responders that reply to the request with this id, and says whether there are any.
    pub(super) fn cancel(&mut self, id: &RequestId, cx: &mut Context<'_>) -> bool {
        let mut found = false;
        for running in self.running.iter_mut().flat_map(FuturesUnordered::iter_mut) {
            if running.call.replies_to(id) {
                running.cancel();
                found = true;
            }
        }
        if found {
            self.poll(cx);
        }
        found
    }

    /// How many responders are running.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Drops all responders, unfinished: the peer reads no more.
    pub(super) fn give_up(&mut self) {
        self.running = None;
        (self.count, self.len) = (0, 0);
    }

    /// Whether as many responders run as allowed.
    pub(super) fn is_full(&self) -> bool {
        self.count >= self.limit
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
    /// Has the responder polled, while it is not finished.
    waker: Option<Waker>,
}

impl<E: EndpointState> Running<E> {
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
    /// The bytes that it took.
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let Self { call, context, len, waker } = &mut *self;
        let (poll, awaits_close) = polled(context.identity(), || call.poll(cx, context.from, context));
        if poll.is_pending() && awaits_close && context.endpoint.router().is_closed() {
            // Closing has begun and does not wait for this responder.
            let (mut call, context) = (call.take(), context.clone());
            tokio::spawn(async move {
                std::future::poll_fn(|cx| call.poll(cx, context.from, &context)).await;
            });
            return Poll::Ready(*len);
        }
        if poll.is_pending() && waker.is_none() {
            // The set of responders polls a responder with the same waker every time.
            *waker = Some(cx.waker().clone());
        }
        poll.map(|()| *len)
    }
}

impl<E: EndpointState> Drop for Running<E> {
    fn drop(&mut self) {
        self.call.give_up(self.context.from, &self.context);
    }
}
