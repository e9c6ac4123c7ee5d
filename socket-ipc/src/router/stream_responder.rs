//! Responders whose replies are streams, as listeners.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::entry::Entry;
use super::listener::{CallResult, Listener, Wait};
use super::open_window::OpenWindow;
use crate::error::MessageErrorKind;
use crate::error::error_reply::ErrorReply;
use crate::wire::raw_message::RawMessage;
use crate::wire::{Envelope, EnvelopeKind, ReplyTo, RequestId, StreamPart, Window, shortened};

/// A stream that has begun.
pub(crate) struct Streaming {
    /// Sends its items.
    pub(crate) wait: Wait,
    pub(crate) to: ReplyTo,
    pub(crate) window: Arc<OpenWindow>,
}

/// Why a responder is not called.
pub(super) enum Rejection {
    /// The requester gets this error reply.
    Reply(ErrorReply),
    /// Nobody can get a reply.
    Reported(MessageErrorKind),
}

/// Checks that a request fits what its responder replies with: it has a window for a stream, and none for a single
/// reply. Returns the id and the window of a stream.
pub(super) fn window_of<F>(
    entry: &Entry<F>,
    envelope: &Envelope<'_>,
) -> Result<Option<(RequestId, Window)>, Rejection> {
    let topic = &*envelope.topic;
    let rejected = |text| Err(Rejection::Reply(ErrorReply::new(ErrorReply::STREAM, text)));
    match (entry.listener.streams(), envelope.stream, &envelope.kind) {
        (true, StreamPart::Request(window), EnvelopeKind::Request(id)) => Ok(Some((id.clone(), window))),
        (true, StreamPart::OddWindow(window), EnvelopeKind::Request(_)) => rejected(format!(
            "the `window` of `{topic}` is a number of bytes or `null`, not {}",
            shortened(window)
        )),
        (true, _, EnvelopeKind::Request(_)) => rejected(format!(
            "`{topic}` is a stream: request it with `request_stream`, or with the key `window` beside `id`, a number \
             of bytes or `null`"
        )),
        (true, ..) => Err(Rejection::Reported(MessageErrorKind::StreamWithoutId { topic: topic.to_owned() })),
        (false, StreamPart::Request(_) | StreamPart::OddWindow(_), _) if entry.listener.responds() => {
            rejected(format!(
                "`{topic}` has a single reply: request it with `request`, or without the key `window`"
            ))
        }
        (false, ..) => Ok(None),
    }
}

/// A responder to the stream requests of a type.
pub(crate) struct RespondingStream<T, L> {
    respond: L,
    request: PhantomData<fn() -> T>,
}

impl<T, L> RespondingStream<T, L> {
    /// `respond` is given the request, its sender, its id and its window.
    pub(crate) fn new<F>(respond: L) -> Box<Self>
    where
        L: Fn(T, F, RequestId, Window) -> CallResult,
    {
        Box::new(Self { respond, request: PhantomData })
    }
}

impl<F, T, L> Listener<F> for RespondingStream<T, L>
where
    T: DeserializeOwned,
    L: Fn(T, F, RequestId, Window) -> CallResult + Send + Sync,
{
    /// Never called: a stream begins with `begin_stream`.
    fn call(
        &self,
        _: &RawMessage<'_>,
        _: &str,
        _: F,
        _: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        Ok(CallResult::Done)
    }

    fn begin_stream(
        &self,
        message: &RawMessage<'_>,
        from: F,
        id: RequestId,
        window: Window,
    ) -> Result<CallResult, serde_json::Error> {
        Ok((self.respond)(serde_json::from_str(message.as_str())?, from, id, window))
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }

    fn responds(&self) -> bool {
        true
    }

    fn streams(&self) -> bool {
        true
    }
}

/// A responder to the JSON text of stream requests.
pub(crate) struct RespondingRawStream<L> {
    respond: L,
    #[cfg(feature = "nats")]
    yields: bool,
}

impl<L> RespondingRawStream<L> {
    pub(crate) fn new<F>(respond: L) -> Box<Self>
    where
        L: Fn(RawMessage<'_>, F, RequestId, Window) -> CallResult,
    {
        Box::new(Self {
            respond,
            #[cfg(feature = "nats")]
            yields: false,
        })
    }

    /// The same as a fallback: it replies only while its topic has no other responder.
    #[cfg(feature = "nats")]
    pub(crate) fn fallback<F>(respond: L) -> Box<Self>
    where
        L: Fn(RawMessage<'_>, F, RequestId, Window) -> CallResult,
    {
        Box::new(Self { respond, yields: true })
    }
}

impl<F, L> Listener<F> for RespondingRawStream<L>
where
    L: Fn(RawMessage<'_>, F, RequestId, Window) -> CallResult + Send + Sync,
{
    /// Never called: a stream begins with `begin_stream`.
    fn call(
        &self,
        _: &RawMessage<'_>,
        _: &str,
        _: F,
        _: &EnvelopeKind,
    ) -> Result<CallResult, serde_json::Error> {
        Ok(CallResult::Done)
    }

    fn begin_stream(
        &self,
        message: &RawMessage<'_>,
        from: F,
        id: RequestId,
        window: Window,
    ) -> Result<CallResult, serde_json::Error> {
        Ok((self.respond)(message.clone(), from, id, window))
    }

    fn responds(&self) -> bool {
        true
    }

    #[cfg(feature = "nats")]
    fn yields(&self) -> bool {
        self.yields
    }

    fn streams(&self) -> bool {
        true
    }
}
