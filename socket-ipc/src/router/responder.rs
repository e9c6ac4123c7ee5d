//! Responders as listeners: their return value goes back to the sender of the message.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::listener::{CallResult, Listener};
use crate::listener::caught;
use crate::topic::{Request, Topic};
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, decode_any_kind};

/// A responder to the requests of a type.
pub(crate) struct Responding<T, L> {
    respond: L,
    request: PhantomData<fn() -> T>,
}

impl<T, L> Responding<T, L> {
    /// `respond` is given the request, its sender, and the kind of envelope that it came in. The reply's
    /// kind follows from it.
    pub(crate) fn new<F>(respond: L) -> Box<Self>
    where
        L: Fn(T, F, EnvelopeKind) -> CallResult,
    {
        Box::new(Self { respond, request: PhantomData })
    }
}

impl<F, T, L> Listener<F> for Responding<T, L>
where
    T: Request + DeserializeOwned,
    L: Fn(T, F, EnvelopeKind) -> CallResult + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        _topic: &str,
        from: F,
        kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        let request = serde_json::from_str(message.as_str())?;
        Ok(called(kind, || (self.respond)(request, from, kind.clone())))
    }

    #[inline]
    fn call_one_pass(&self, rest: &str, from: F) -> Option<CallResult> {
        // If a `Deserialize` panics, the envelope is read whole, because the error reply needs its kind.
        let (request, kind) = caught(|| decode_any_kind(rest)).ok()??;
        if let EnvelopeKind::Reply(_) = kind {
            return None;
        }
        Some(called(&kind, || (self.respond)(request, from, kind.clone())))
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }

    fn responds(&self) -> bool {
        true
    }

    fn reply_topic(&self) -> Option<&str> {
        Some(T::Reply::NAME)
    }
}

/// A responder to the JSON text.
pub(crate) struct RespondingRaw<L> {
    respond: L,
    reply_topic: Arc<str>,
}

impl<L> RespondingRaw<L> {
    /// `respond` is given the request, its sender, and the kind of envelope that it came in. The
    /// reply travels under `reply_topic`.
    pub(crate) fn new<F>(reply_topic: Arc<str>, respond: L) -> Box<Self>
    where
        L: Fn(RawMessage<'_>, F, EnvelopeKind) -> CallResult,
    {
        Box::new(Self { respond, reply_topic })
    }
}

impl<F, L> Listener<F> for RespondingRaw<L>
where
    L: Fn(RawMessage<'_>, F, EnvelopeKind) -> CallResult + Send + Sync,
{
    fn call(
        &self,
        message: &RawMessage<'_>,
        _topic: &str,
        from: F,
        kind: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        Ok(called(kind, || (self.respond)(message.clone(), from, kind.clone())))
    }

    fn responds(&self) -> bool {
        true
    }

    fn reply_topic(&self) -> Option<&str> {
        Some(&self.reply_topic)
    }
}

/// Calls a responder. If it panics, the kind of the request is kept, for the error reply.
fn called(kind: &EnvelopeKind, respond: impl FnOnce() -> CallResult) -> CallResult {
    caught(respond).unwrap_or_else(|panic| CallResult::Panicked { kind: kind.clone(), panic })
}
