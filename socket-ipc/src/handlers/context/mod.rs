//! What a method gets beside its message: where it came from, and the endpoint that received it.

mod client;
mod server;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

pub use client::ClientContext;
pub use server::Context;

/// The handle of an endpoint: a method that does not wait needs no copy of it.
enum Handle<'h, H> {
    Borrowed(&'h H),
    Owned(H),
}

impl<H: Clone> Handle<'_, H> {
    fn into_owned(self) -> H {
        match self {
            Self::Borrowed(handle) => handle.clone(),
            Self::Owned(handle) => handle,
        }
    }
}

impl<H: Clone> Clone for Handle<'_, H> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(handle) => Self::Borrowed(handle),
            Self::Owned(handle) => Self::Owned(handle.clone()),
        }
    }
}

impl<H> Deref for Handle<'_, H> {
    type Target = H;

    fn deref(&self) -> &H {
        match self {
            Self::Borrowed(handle) => handle,
            Self::Owned(handle) => handle,
        }
    }
}

/// Tells the contexts of a running responder that it has ended.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct OfCall(Arc<State>);

#[derive(Debug)]
struct State {
    ended: AtomicBool,
    tell: Notify,
}

impl OfCall {
    async fn ended(&self) {
        let mut told = std::pin::pin!(self.0.tell.notified());
        // From here on the notification is not missed.
        told.as_mut().enable();
        if !self.0.ended.load(Ordering::Acquire) {
            told.await;
        }
    }
}

/// Ends a call when it is dropped.
pub(in crate::handlers) struct Ending(OfCall);

impl Ending {
    pub(in crate::handlers) fn new() -> Self {
        Self(OfCall(Arc::new(State { ended: AtomicBool::new(false), tell: Notify::new() })))
    }

    pub(in crate::handlers) fn call(&self) -> OfCall {
        self.0.clone()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let State { ended, tell } = &*self.0.0;
        ended.store(true, Ordering::Release);
        tell.notify_waiters();
    }
}
