//! Responders as listeners: their return value goes back to the sender of the message.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::listener::{CallResult, Listener};
use crate::listener::caught;
use crate::topic::Request;
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, ReplyTo, decode_any_kind};

/// A responder to the requests of a type.
pub(crate) struct Responding<T, L> {
    respond: L,
    request: PhantomData<fn() -> T>,
}

impl<T, L> Responding<T, L> {
    /// `respond` is given the request, its sender, and the recipient of the reply.
    pub(crate) fn new<F>(respond: L) -> Box<Self>
    where
        L: Fn(T, F, &ReplyTo) -> CallResult,
    {
        Box::new(Self { respond, request: PhantomData })
    }
}

impl<F, T, L> Listener<F> for Responding<T, L>
where
    T: Request + DeserializeOwned,
    L: Fn(T, F, &ReplyTo) -> CallResult + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        _topic: &str,
        from: F,
        kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        let request = serde_json::from_str(message.as_str())?;
        Ok(called(kind.reply_to(T::REPLY_TOPIC.is_some()), |to| (self.respond)(request, from, to)))
    }

    #[inline]
    fn call_one_pass(&self, rest: &str, from: F) -> Option<CallResult> {
        // If a `Deserialize` panics, the envelope is read whole, because the error reply needs its kind.
        let (request, kind) = caught(|| decode_any_kind(rest)).ok()??;
        if let EnvelopeKind::Reply(_) = kind {
            return None;
        }
        Some(called(kind.reply_to(T::REPLY_TOPIC.is_some()), |to| (self.respond)(request, from, to)))
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }

    fn responds(&self) -> bool {
        true
    }

    fn reply_topic(&self) -> Option<&str> {
        T::REPLY_TOPIC
    }
}

/// A responder to the JSON text.
pub(crate) struct RespondingRaw<L> {
    respond: L,
    reply_topic: Option<Arc<str>>,
    #[cfg(feature = "nats")]
    yields: bool,
}

impl<L> RespondingRaw<L> {
    /// `respond` is given the request, its sender, and the recipient of the reply. The reply travels under
    /// `reply_topic`, or under the topic of the request.
    pub(crate) fn new<F>(reply_topic: Option<Arc<str>>, respond: L) -> Box<Self>
    where
        L: Fn(RawMessage<'_>, F, &ReplyTo) -> CallResult,
    {
        Box::new(Self {
            respond,
            reply_topic,
            #[cfg(feature = "nats")]
            yields: false,
        })
    }

    /// The same as a fallback: it replies only while its topic has no other responder.
    #[cfg(feature = "nats")]
    pub(crate) fn fallback<F>(reply_topic: Option<Arc<str>>, respond: L) -> Box<Self>
    where
        L: Fn(RawMessage<'_>, F, &ReplyTo) -> CallResult,
    {
        Box::new(Self { respond, reply_topic, yields: true })
    }
}

impl<F, L> Listener<F> for RespondingRaw<L>
where
    L: Fn(RawMessage<'_>, F, &ReplyTo) -> CallResult + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        _topic: &str,
        from: F,
        kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        Ok(called(kind.reply_to(self.reply_topic.is_some()), |to| (self.respond)(message.clone(), from, to)))
    }

    fn responds(&self) -> bool {
        true
    }

    #[cfg(feature = "nats")]
    fn yields(&self) -> bool {
        self.yields
    }

    fn reply_topic(&self) -> Option<&str> {
        self.reply_topic.as_deref()
    }
}

/// Calls a responder. If it panics, the recipient of its reply is kept, for the error reply.
fn called(to: ReplyTo, respond: impl FnOnce(&ReplyTo) -> CallResult) -> CallResult {
    caught(|| respond(&to)).unwrap_or_else(|panic| CallResult::Panicked { to: Some(to), panic })
}
