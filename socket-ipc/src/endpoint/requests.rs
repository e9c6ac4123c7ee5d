//! Responders, and the way of their replies back to the connection that the request came over.
//!
//! A responder here takes the peer as its last argument, as a [listener](super::listeners) does.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use super::state::Endpoint;
use crate::connection::{self, request_span};
use crate::error::RegisterError;
use crate::error::error_reply::{ErrorReply, IntoReply};
use crate::listener::ListenerId;
use crate::router::{CallResult, Listener, Responding, RespondingRaw};
use crate::topic::{Request, Topic, TopicName};
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, topic_or_none};

pub(crate) fn respond<T, E: Endpoint, O>(
    endpoint: &Arc<E>,
    responder: impl Fn(T, E::Peer) -> O + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError>
where
    T: Request + DeserializeOwned + 'static,
    T::Reply: Serialize,
    O: IntoReply<T::Reply>,
{
    let token = ListenerId::next();
    respond_as(endpoint, token, responder)?;
    Ok(token)
}

/// [`respond`] under a token that other listeners may have, too.
pub(crate) fn respond_as<T, E: Endpoint, O>(
    endpoint: &Arc<E>,
    token: ListenerId,
    responder: impl Fn(T, E::Peer) -> O + Send + Sync + 'static,
) -> Result<(), RegisterError>
where
    T: Request + DeserializeOwned + 'static,
    T::Reply: Serialize,
    O: IntoReply<T::Reply>,
{
    let weak = Arc::downgrade(endpoint);
    let call = Responding::<T, _>::new(move |request, peer, kind| {
        let outcome = request_span(T::NAME, &kind).in_scope(|| responder(request, peer).into_reply());
        if let Some(endpoint) = weak.upgrade() {
            reply(&*endpoint, peer, &kind, TopicName::OfType(T::Reply::NAME), &outcome);
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
    T: Request + DeserializeOwned + 'static,
    T::Reply: Serialize + Send,
    F: Future<Output: IntoReply<T::Reply>> + Send + 'static,
{
    let weak = Arc::downgrade(endpoint);
    let call = Responding::<T, _>::new(move |request, peer, kind: EnvelopeKind| {
        let (span, kept) = (request_span(T::NAME, &kind), kind.clone());
        let (outcome, weak) = (span.in_scope(|| responder(request, peer)), weak.clone());
        let wait = Box::pin(
            async move {
                let outcome = outcome.await.into_reply();
                let Some(endpoint) = weak.upgrade() else { return };
                reply_paced(&*endpoint, peer, &kind, TopicName::OfType(T::Reply::NAME), outcome).await;
            }
            .instrument(span),
        );
        CallResult::Responding { wait, kind: kept }
    });
    attach(endpoint, T::NAME, call)
}

pub(crate) fn respond_raw<M: Serialize, E: Endpoint>(
    endpoint: &Arc<E>,
    topic: &str,
    reply_topic: &str,
    responder: impl Fn(RawMessage<'_>, E::Peer) -> Result<M, ErrorReply> + Send + Sync + 'static,
) -> Result<ListenerId, RegisterError> {
    let [topic, reply_topic] = [topic, reply_topic].map(|topic| Arc::<str>::from(topic_or_none(topic)));
    let (weak, name, sent_as) = (Arc::downgrade(endpoint), Arc::clone(&topic), Arc::clone(&reply_topic));
    let call = RespondingRaw::new(reply_topic, move |request: RawMessage<'_>, peer: E::Peer, kind| {
        let outcome = request_span(&name, &kind).in_scope(|| responder(request, peer));
        if let Some(endpoint) = weak.upgrade() {
            reply(&*endpoint, peer, &kind, TopicName::AtRunTime(&sent_as), &outcome);
        }
        CallResult::Done
    });
    attach(endpoint, &topic, call)
}

fn attach<E: Endpoint>(
    endpoint: &Arc<E>,
    topic: &str,
    responder: Box<dyn Listener<E::Peer>>,
) -> Result<ListenerId, RegisterError> {
    let token = ListenerId::next();
    endpoint.core().router.attach_as(token, topic, responder)?;
    Ok(token)
}

/// Queues the reply to a message of this kind, if the connection that it came over is still there.
pub(crate) fn reply<R: Serialize, E: Endpoint>(
    endpoint: &E,
    peer: E::Peer,
    kind: &EnvelopeKind,
    topic: TopicName<'_>,
    outcome: &Result<R, ErrorReply>,
) {
    if let Some(outbox) = endpoint.reply_outbox(peer) {
        connection::reply(endpoint, &outbox, kind, topic, outcome);
    }
}

/// [`reply`] once there is room for it.
async fn reply_paced<R: Serialize, E: Endpoint>(
    endpoint: &E,
    peer: E::Peer,
    kind: &EnvelopeKind,
    topic: TopicName<'_>,
    outcome: Result<R, ErrorReply>,
) {
    if let Some(outbox) = endpoint.reply_outbox(peer) {
        connection::reply_paced(endpoint, &outbox, kind, topic, outcome).await;
    }
}
