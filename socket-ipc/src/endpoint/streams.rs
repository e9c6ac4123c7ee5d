//! Responders whose replies are streams.

use std::sync::{Arc, Weak};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use super::requests::attach;
use super::state::Endpoint;
use crate::connection::{ItemSender, Outcome, request_span};
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::listener::ListenerId;
use crate::router::{CallResult, OpenWindow, RespondingRawStream, RespondingStream, Streaming, Wait};
use crate::topic::{StreamRequest, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::{ReplyTo, RequestId, Window, topic_or_none};

pub(crate) fn respond_stream<T, E: Endpoint, S>(
    endpoint: &Arc<E>,
    responder: impl Fn(T, E::Peer) -> S + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError>
where
    T: StreamRequest<Item: Serialize, Error: Serialize> + DeserializeOwned + Send + 'static,
    S: Stream<Item = Result<T::Item, T::Error>> + Send + 'static,
{
    let token = ListenerId::next();
    respond_stream_as(endpoint, token, responder)?;
    Ok(token)
}

/// [`respond_stream`] under a token that other listeners may have, too.
pub(crate) fn respond_stream_as<T, E: Endpoint, S>(
    endpoint: &Arc<E>,
    token: ListenerId,
    responder: impl Fn(T, E::Peer) -> S + Send + Sync + 'static,
) -> Result<(), RegisterError>
where
    T: StreamRequest<Item: Serialize, Error: Serialize> + DeserializeOwned + Send + 'static,
    S: Stream<Item = Result<T::Item, T::Error>> + Send + 'static,
{
    check_wire(endpoint, T::NAME)?;
    let (weak, responder) = (Arc::downgrade(endpoint), Arc::new(responder));
    let call = RespondingStream::<T, _>::new(move |request: T, peer, id, window| {
        let responder = Arc::clone(&responder);
        streaming(&weak, peer, id, window, T::NAME, |sender| {
            let make = move || responder(request, peer);
            Box::pin(sender.run(TopicName::OfType(T::NAME), make, outcome_of::<T>))
        })
    });
    endpoint.core().router.attach_as(token, T::NAME, call)
}

pub(crate) fn respond_stream_raw<M, E: Endpoint, S>(
    endpoint: &Arc<E>,
    topic: &str,
    responder: impl Fn(RawMessage<'static>, E::Peer) -> S + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError>
where
    M: Serialize,
    S: Stream<Item = Result<M, ErrorReply>> + Send + 'static,
{
    let name: Arc<str> = topic_or_none(topic).into();
    check_wire(endpoint, &name)?;
    let (weak, responder) = (Arc::downgrade(endpoint), Arc::new(responder));
    let topic = Arc::clone(&name);
    let call = RespondingRawStream::new(move |request: RawMessage<'_>, peer: E::Peer, id, window| {
        let (responder, request, topic) = (Arc::clone(&responder), request.into_owned(), Arc::clone(&topic));
        streaming(&weak, peer, id, window, &topic.clone(), |sender| {
            let make = move || responder(request, peer);
            Box::pin(async move {
                sender.run(TopicName::AtRunTime(&topic), make, |error| Outcome::ErrorReply(error)).await;
            })
        })
    });
    attach(endpoint, &name, call)
}

/// On a wire without control lines, a stream could be neither paced nor cancelled.
pub(crate) fn check_wire<E: Endpoint>(endpoint: &Arc<E>, topic: &str) -> Result<(), RegisterError> {
    if endpoint.limits().wire.has_control_lines() {
        return Ok(());
    }
    Err(RegisterError::NoStreams { topic: topic.to_owned() })
}

/// A stream that runs over the connection to a peer.
pub(crate) fn streaming<E: Endpoint>(
    endpoint: &Weak<E>,
    peer: E::Peer,
    id: RequestId,
    window: Window,
    topic: &str,
    run: impl FnOnce(ItemSender<E>) -> Wait,
) -> CallResult {
    let Some(endpoint) = endpoint.upgrade() else { return CallResult::Done };
    let Some(outbox) = endpoint.reply_outbox(peer) else { return CallResult::Done };
    let window = Arc::new(OpenWindow::new(window));
    let to = ReplyTo::Request(id.clone());
    let wait = run(ItemSender::new(endpoint, outbox, id, Arc::clone(&window)));
    let wait = Box::pin(wait.instrument(request_span(topic, &to)));
    CallResult::Streaming(Box::new(Streaming { wait, to, window }))
}

fn outcome_of<T: StreamRequest>(error: &T::Error) -> Outcome<'_, (), T::Error> {
    match T::error_reply(error) {
        Some(error_reply) => Outcome::ErrorReply(error_reply),
        None => Outcome::Error(error, T::error_text(error)),
    }
}
