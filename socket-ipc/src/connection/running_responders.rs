//! The running responders of one connection. Only the end of the connection waits for them.

use std::future::{Pending, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::Either;
use futures_util::stream::{FuturesUnordered, Stream};

use super::EndpointState;
use super::closing::polled;
use super::context::ConnectionContext;
use crate::router::ResponderCall;

/// The running responders, up to a limit.
pub(super) struct RunningResponders<E: EndpointState> {
    /// Made when first needed: most connections have none, and it takes memory.
    running: Option<Set<E>>,
    count: usize,
    /// The bytes that they and their requests take.
    len: usize,
    limit: usize,
}

/// The running responders and one future that never ends, see [`empty_set`].
type Set<E> = FuturesUnordered<Either<Running<E>, Pending<usize>>>;

/// A set that has polled all its futures in a row wakes its task, so that other tasks get their turn in between. A
/// session yields by itself, and a responder that waits is no reason to poll it again: a future that is never woken
/// keeps the set from ever polling all of them.
fn empty_set<E: EndpointState>() -> Set<E> {
    let mut set = Set::default();
    set.push(Either::Right(pending()));
    // The first poll is that of every future, and wakes nobody.
    let _ = Pin::new(&mut set).poll_next(&mut Context::from_waker(Waker::noop()));
    set
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
        let running = Running { call, context: context.clone(), len };
        self.running.get_or_insert_with(empty_set).push(Either::Left(running));
    }

    /// Polls the responders that were woken.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(running) = self.running.as_mut().filter(|_| self.count > 0) else { return };
        while let Poll::Ready(Some(len)) = Pin::new(&mut *running).poll_next(cx) {
            self.count -= 1;
            self.len -= len;
        }
    }

    /// Drops them all, unfinished: the peer reads no more.
    pub(super) fn give_up(&mut self) {
        self.running = None;
        (self.count, self.len) = (0, 0);
    }

    /// Whether as many responders run as allowed.
    pub(super) fn is_full(&self) -> bool {
        self.count >= self.limit
    }

    /// The bytes that they and their requests take.
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
}

impl<E: EndpointState> Future for Running<E> {
    /// The bytes that it took.
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let Self { call, context, len } = &mut *self;
        let (poll, awaits_close) = polled(context.identity(), || call.poll(cx, context.from, context));
        if poll.is_pending() && awaits_close && context.endpoint.router().is_closed() {
            // Closing has begun and does not wait for this responder.
            let (mut call, context) = (call.take(), context.clone());
            tokio::spawn(async move {
                std::future::poll_fn(|cx| call.poll(cx, context.from, &context)).await;
            });
            return Poll::Ready(*len);
        }
        poll.map(|()| *len)
    }
}

impl<E: EndpointState> Drop for Running<E> {
    fn drop(&mut self) {
        self.call.give_up(self.context.from, &self.context);
    }
}
