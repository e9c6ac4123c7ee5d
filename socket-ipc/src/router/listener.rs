//! Listeners of every kind behind one trait, which the router calls.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::stream_responder::Streaming;
use crate::topic::Topic;
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, ReplyTo, RequestId, Window, decode_one_pass};

/// What has to finish before the next listener is called.
pub(crate) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The result of calling a listener.
pub(crate) enum CallResult {
    Done,
    /// The next listener has to wait.
    Wait(Wait),
    /// A responder is running. Only the end of the connection waits for it.
    Responding {
        wait: Wait,
        to: ReplyTo,
        on_cancel: OnCancel,
    },
    /// A stream has begun. Only the end of the connection waits for it.
    Streaming(Box<Streaming>),
    /// A responder panicked.
    Panicked {
        /// `None` where the request has a reply.
        to: Option<ReplyTo>,
        panic: String,
    },
}

impl CallResult {
    /// The result of calling an asynchronous listener, which returned a future.
    pub(crate) fn of(future: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut wait: Wait = Box::pin(future);
        // Many have nothing to wait for. One that has is polled again, in the task of its connection.
        match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => Self::Done,
            Poll::Pending => Self::Wait(wait),
        }
    }
}

/// What becomes of a running responder whose requester gives up.
pub(crate) enum OnCancel {
    /// It is dropped.
    Drop,
    /// It is told, and keeps its place.
    Tell(Arc<dyn Fn() + Send + Sync>),
    /// It runs on.
    Nothing,
}

/// One listener, its message type and kind erased.
pub(crate) trait Listener<F>: Send + Sync {
    /// Calls the listener with a message.
    fn call(
        &self,
        message: &RawMessage<'_>,
        topic: &str,
        from: F,
        kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error>;

    /// Calls the listener with the message at the start of `rest`, the unread part of an envelope. If the envelope has
    /// to be read whole first, does not call it, and returns `None`.
    fn call_one_pass(&self, _rest: &str, _from: F) -> Option<CallResult> {
        None
    }

    /// Whether each call is [`CallResult::Done`].
    fn finishes_at_once(&self) -> bool {
        false
    }

    /// The type that messages are decoded into.
    fn type_name(&self) -> &'static str {
        "RawMessage"
    }

    /// Whether it replies to requests.
    fn responds(&self) -> bool {
        false
    }

    /// Whether it replies only while its topic has no other responder.
    #[cfg(feature = "nats")]
    fn yields(&self) -> bool {
        false
    }

    /// Whether it replies with streams.
    fn streams(&self) -> bool {
        false
    }

    /// Begins a stream, where it replies with streams.
    fn begin_stream(
        &self,
        _message: &RawMessage<'_>,
        _from: F,
        _id: RequestId,
        _window: Window,
    ) -> Result<CallResult, serde_json::Error> {
        Ok(CallResult::Done)
    }

    /// The topic that its replies travel under, if it replies to requests and that is not the topic of the requests.
    fn reply_topic(&self) -> Option<&str> {
        None
    }
}

/// Takes the place of a listener that is being dropped.
pub(super) struct Gone;

impl<F> Listener<F> for Gone {
    fn call(
        &self,
        _: &RawMessage<'_>,
        _: &str,
        _: F,
        _: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        Ok(CallResult::Done)
    }
}

/// A synchronous listener of a type, which may borrow from the receive buffer.
pub(crate) struct Typed<T, L> {
    listener: L,
    topic: PhantomData<fn() -> T>,
}

impl<T, L> Typed<T, L> {
    pub(crate) fn new<F>(listener: L) -> Box<Self>
    where
        T: Topic,
        L: for<'m> Fn(T::Message<'m>, F),
    {
        Box::new(Self { listener, topic: PhantomData })
    }
}

impl<F, T, L> Listener<F> for Typed<T, L>
where
    T: Topic,
    L: for<'m> Fn(T::Message<'m>, F) + Send + Sync,
    for<'m> T::Message<'m>: Deserialize<'m>,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        _topic: &str,
        from: F,
        _kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        (self.listener)(serde_json::from_str(message.as_str())?, from);
        Ok(CallResult::Done)
    }

    #[inline]
    fn call_one_pass(&self, rest: &str, from: F) -> Option<CallResult> {
        (self.listener)(decode_one_pass(rest)?, from);
        Some(CallResult::Done)
    }

    fn finishes_at_once(&self) -> bool {
        true
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}

/// A listener of an owned type that may make the next one wait: an asynchronous one, or a subscription.
pub(crate) struct Owned<T, L> {
    listener: L,
    message: PhantomData<fn() -> T>,
}

impl<T, L> Owned<T, L> {
    pub(crate) fn new<F>(listener: L) -> Box<Self>
    where
        L: Fn(T, usize, F) -> CallResult,
    {
        Box::new(Self { listener, message: PhantomData })
    }
}

impl<F, T, L> Listener<F> for Owned<T, L>
where
    T: DeserializeOwned,
    L: Fn(T, usize, F) -> CallResult + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        _topic: &str,
        from: F,
        _kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        let text = message.as_str();
        Ok((self.listener)(serde_json::from_str(text)?, text.len(), from))
    }

    #[inline]
    fn call_one_pass(&self, rest: &str, from: F) -> Option<CallResult> {
        Some((self.listener)(decode_one_pass(rest)?, rest.len(), from))
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }
}

/// A listener of the JSON text.
pub(crate) struct Raw<L>(pub(crate) L);

impl<F, L> Listener<F> for Raw<L>
where
    L: Fn(RawMessage<'_>, &str, F) + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        topic: &str,
        from: F,
        _kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        (self.0)(message.clone(), topic, from);
        Ok(CallResult::Done)
    }
}

/// A listener of the JSON text that may make the next one wait: a subscription.
pub(crate) struct RawWaiting<L>(pub(crate) L);

impl<F, L> Listener<F> for RawWaiting<L>
where
    L: Fn(RawMessage<'_>, &str, F) -> CallResult + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        topic: &str,
        from: F,
        _kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        Ok((self.0)(message.clone(), topic, from))
    }
}
