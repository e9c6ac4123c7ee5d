//! Responders, and the way of their replies back to the connection that the request came over.
//!
//! A responder here takes the peer as its last argument, as a [listener](super::listeners) does.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use super::reply_sender::{ReplySender, deferred};
use super::state::Endpoint;
use crate::connection::{self, Outcome, request_span};
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::listener::ListenerId;
use crate::router::{CallResult, Listener, OnCancel, Responding, RespondingRaw};
use crate::topic::{Request, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::{ReplyTo, topic_or_none};

pub(crate) fn respond<T, E: Endpoint>(
    endpoint: &Arc<E>,
    responder: impl Fn(T, E::Peer) -> Result<T::Reply, T::Error> + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError>
where
    T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
{
    let token = ListenerId::next();
    respond_as(endpoint, token, responder)?;
    Ok(token)
}

/// [`respond`] under a token that other listeners may have, too.
pub(crate) fn respond_as<T, E: Endpoint>(
    endpoint: &Arc<E>,
    token: ListenerId,
    responder: impl Fn(T, E::Peer) -> Result<T::Reply, T::Error> + Send + Sync + 'static,
) -> Result<(), RegisterError>
where
    T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
{
    let weak = Arc::downgrade(endpoint);
    let call = Responding::<T, _>::new(move |request, peer, to| {
        let outcome = request_span(T::NAME, to).in_scope(|| responder(request, peer));
        if let Some(endpoint) = weak.upgrade() {
            reply(&*endpoint, peer, to, reply_topic::<T>(), Outcome::of::<T>(&outcome));
        }
        CallResult::Done
    });
    endpoint.core().router.attach_as(token, T::NAME, call)
}

pub(crate) fn respond_async<T, E: Endpoint, F>(
    endpoint: &Arc<E>,
    responder: impl Fn(T, E::Peer) -> F + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError>
where
    T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
    F: Future<Output = Result<T::Reply, T::Error>> + Send + 'static,
{
    let token = ListenerId::next();
    respond_async_as(endpoint, token, responder)?;
    Ok(token)
}

/// [`respond_async`] under a token that other listeners may have, too.
pub(crate) fn respond_async_as<T, E: Endpoint, F>(
    endpoint: &Arc<E>,
    token: ListenerId,
    responder: impl Fn(T, E::Peer) -> F + Send + Sync + 'static,
) -> Result<(), RegisterError>
where
    T: Request<Reply: Serialize + Send, Error: Serialize + Send> + DeserializeOwned + 'static,
    F: Future<Output = Result<T::Reply, T::Error>> + Send + 'static,
{
    let weak = Arc::downgrade(endpoint);
    let call = Responding::<T, _>::new(move |request, peer, to: &ReplyTo| {
        let (span, kept, to) = (request_span(T::NAME, to), to.clone(), to.clone());
        let (outcome, weak) = (span.in_scope(|| responder(request, peer)), weak.clone());
        let wait = Box::pin(
            async move {
                let outcome = outcome.await;
                let Some(endpoint) = weak.upgrade() else { return };
                let Some(outbox) = endpoint.reply_outbox(peer) else { return };
                let waiting =
                    connection::reply_or_hold::<T>(&*endpoint, &outbox, &to, reply_topic::<T>(), &outcome);
                drop(outcome);
                if let Some(waiting) = waiting {
                    // Boxed: it is rare, and each responder would take room for it.
                    Box::pin(waiting.queue(&*endpoint)).await;
                }
            }
            .instrument(span),
        );
        let on_cancel = if T::IS_CANCELLED { OnCancel::Drop } else { OnCancel::Nothing };
        CallResult::Responding { wait, to: kept, on_cancel }
    });
    endpoint.core().router.attach_as(token, T::NAME, call)
}

pub(crate) fn respond_with<T, E: Endpoint>(
    endpoint: &Arc<E>,
    responder: impl Fn(T, ReplySender<T, E::Peer>) + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError>
where
    T: Request<Reply: Serialize + Send + 'static, Error: Serialize + Send + 'static>
        + DeserializeOwned
        + 'static,
{
    let weak = Arc::downgrade(endpoint);
    let call = Responding::<T, _>::new(move |request, peer, to: &ReplyTo| {
        let Some(outbox) = weak.upgrade().and_then(|endpoint| endpoint.reply_outbox(peer)) else {
            return CallResult::Done;
        };
        let span = request_span(T::NAME, to);
        span.in_scope(|| {
            deferred(weak.clone(), outbox, peer, to.clone(), |sender| responder(request, sender))
        })
    });
    attach(endpoint, T::NAME, call)
}

pub(crate) fn respond_raw<M: Serialize, E: Endpoint>(
    endpoint: &Arc<E>,
    topic: &str,
    reply_topic: Option<&str>,
    responder: impl Fn(RawMessage<'_>, E::Peer) -> Result<M, ErrorReply> + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError> {
    let topic: Arc<str> = topic_or_none(topic).into();
    let reply_topic: Option<Arc<str>> = reply_topic.map(|topic| topic_or_none(topic).into());
    let (weak, name) = (Arc::downgrade(endpoint), Arc::clone(&topic));
    let sent_as = reply_topic.clone().unwrap_or_else(|| Arc::clone(&topic));
    let call =
        RespondingRaw::new(reply_topic, move |request: RawMessage<'_>, peer: E::Peer, to: &ReplyTo| {
            let outcome = request_span(&name, to).in_scope(|| responder(request, peer));
            if let Some(endpoint) = weak.upgrade() {
                reply(&*endpoint, peer, to, TopicName::AtRunTime(&sent_as), Outcome::untyped(&outcome));
            }
            CallResult::Done
        });
    attach(endpoint, &topic, call)
}

/// The topic that replies to `T` travel under.
pub(super) fn reply_topic<T: Request>() -> TopicName<'static> {
    TopicName::OfType(T::REPLY_TOPIC.unwrap_or(T::NAME))
}

pub(super) fn attach<E: Endpoint>(
    endpoint: &Arc<E>,
    topic: &str,
    responder: Box<dyn Listener<E::Peer>>,
) -> Result<ListenerId, RegisterError> {
    let token = ListenerId::next();
    endpoint.core().router.attach_as(token, topic, responder)?;
    Ok(token)
}

/// Queues a reply, if the connection that the request came over is still there.
pub(crate) fn reply<R: Serialize, X: Serialize, E: Endpoint>(
    endpoint: &E,
    peer: E::Peer,
    to: &ReplyTo,
    topic: TopicName<'_>,
    outcome: Outcome<'_, R, X>,
) {
    if let Some(outbox) = endpoint.reply_outbox(peer) {
        connection::reply(endpoint, &outbox, to, topic, outcome);
    }
}
