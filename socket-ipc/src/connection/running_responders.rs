//! The responders of one connection that are at work: nothing waits for them but its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};

use super::EndpointState;
use super::closing::polled;
use super::context::ConnectionContext;
use crate::router::ResponderCall;

/// Those at work, as many as a connection may have.
pub(super) struct RunningResponders<E: EndpointState> {
    /// Made when first needed: most connections have none, and it takes memory.
    at_work: Option<FuturesUnordered<AtWork<E>>>,
    count: usize,
    /// What the requests take that they work on, and they themselves.
    len: usize,
    limit: usize,
}

/// What a running responder takes, beside its request: its place here and in the runtime, and its future.
const LEN: usize = 1024;

impl<E: EndpointState> RunningResponders<E> {
    pub(super) fn new(limit: usize) -> Self {
        Self { at_work: None, count: 0, len: 0, limit: limit.max(1) }
    }

    /// Takes on a responder that was called with a request of `len` bytes.
    pub(super) fn begin(&mut self, call: ResponderCall<E::From>, context: &ConnectionContext<E>, len: usize) {
        let len = LEN.saturating_add(len);
        self.count += 1;
        self.len += len;
        self.at_work.get_or_insert_default().push(AtWork { call, context: context.clone(), len });
    }

    /// Goes on with whatever can.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(at_work) = self.at_work.as_mut().filter(|_| self.count > 0) else { return };
        while let Poll::Ready(Some(len)) = Pin::new(&mut *at_work).poll_next(cx) {
            self.count -= 1;
            self.len -= len;
        }
    }

    /// Drops them all, unfinished: nobody is left to be answered.
    pub(super) fn give_up(&mut self) {
        self.at_work = None;
        (self.count, self.len) = (0, 0);
    }

    /// Whether no further request is to be heard for now.
    pub(super) fn is_full(&self) -> bool {
        self.count >= self.limit
    }

    /// What those that run take, in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// One responder at work.
struct AtWork<E: EndpointState> {
    call: ResponderCall<E::From>,
    context: ConnectionContext<E>,
    len: usize,
}

impl<E: EndpointState> Future for AtWork<E> {
    /// What it took.
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let Self { call, context, len } = &mut *self;
        let (poll, awaits_close) = polled(context.identity(), || call.poll(cx, context.from, context));
        if poll.is_pending() && awaits_close && context.endpoint.router().is_closed() {
            // The closing that has call does not wait for it.
            let (mut call, context) = (call.take(), context.clone());
            tokio::spawn(async move {
                std::future::poll_fn(|cx| call.poll(cx, context.from, &context)).await;
            });
            return Poll::Ready(*len);
        }
        poll.map(|()| *len)
    }
}

impl<E: EndpointState> Drop for AtWork<E> {
    fn drop(&mut self) {
        self.call.give_up(self.context.from, &self.context);
    }
}
