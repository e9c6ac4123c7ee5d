//! Queues a reply, or an error reply, in the outbox of the connection that the request came over.

use serde::Serialize;
use tracing::Span;

use super::outbox::{HeldReply, Outbox, PushError, Replied};
use super::{EndpointState, encoded};
use crate::error::SendError;
use crate::error::error_reply::{ERROR_TOPIC, ErrorReply};
use crate::topic::TopicName;
use crate::wire::{EnvelopeKind, Tail};

/// Queues the reply to a message of this kind, even over the limit of the outbox. Then the session dispatches no
/// further message until there is room. If all outboxes together have no room for the reply, an error reply is queued
/// instead.
pub(crate) fn reply<R: Serialize>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    kind: &EnvelopeKind,
    topic: TopicName<'_>,
    outcome: &Result<R, ErrorReply>,
) {
    // The peer reads no more: the reply is not worth encoding.
    if outbox.is_broken() {
        return lost(topic);
    }
    encoded_reply(endpoint, kind, topic, outcome, |topic, reply| queue(endpoint, outbox, kind, topic, reply));
}

/// Queues the reply to a message of this kind once there is room for it.
pub(crate) async fn reply_paced<R: Serialize>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    kind: &EnvelopeKind,
    topic: TopicName<'_>,
    outcome: Result<R, ErrorReply>,
) {
    let mut waiting = None;
    encoded_reply(endpoint, kind, topic, &outcome, |topic, reply| {
        // An outbox that is about to end takes it at once: the drain still writes it.
        if outbox.has_ended() || outbox.has_room(reply.len()) {
            return queue(endpoint, outbox, kind, topic, reply);
        }
        match outbox.hold_reply(reply.to_vec()) {
            Ok(held) => waiting = Some((topic, held)),
            Err(error) => reject(endpoint, outbox, kind, topic, reply.len(), error),
        }
    });
    drop(outcome);
    let Some((topic, held)) = waiting else { return };
    match HeldReply::queue(held).await {
        Some(len) => endpoint.metrics().sent(topic, 1, len),
        None => lost(topic),
    }
}

fn queue(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    kind: &EnvelopeKind,
    topic: TopicName<'_>,
    reply: &[u8],
) {
    match outbox.push_reply(reply) {
        Replied::Queued => endpoint.metrics().sent(topic, 1, reply.len()),
        Replied::Lost => lost(topic),
        Replied::TotalFull => reject(endpoint, outbox, kind, topic, reply.len(), PushError::TotalFull),
    }
}

/// Queues an error reply instead of a reply of `len` bytes that has no room.
fn reject(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    kind: &EnvelopeKind,
    topic: TopicName<'_>,
    len: usize,
    error: PushError,
) {
    let name = topic.as_str();
    let text = match error {
        PushError::Full { queued } => format!(
            "no room for a reply of {len} bytes, `{name}`: replies of {queued} bytes are waiting to be read. Read them, \
             send fewer requests at once, or raise `outbox_len`"
        ),
        _ => {
            let (queued, limit) = outbox.total();
            format!(
                "no room for a reply of {len} bytes, `{name}`: all outboxes together hold {queued} of {limit} bytes. \
                 Send the request later, or raise `outbox_total_len`"
            )
        }
    };
    tracing::warn!(topic = name, len, "no room for a reply: {text}");
    let error_reply = ErrorReply::new(ErrorReply::FAILED, text);
    let queued = encoded_error_reply(endpoint, &kind.reply(), &error_reply, &mut |topic, reply: &[u8]| {
        // It is short, and so is always queued.
        match outbox.push_reply(reply) {
            Replied::Queued => endpoint.metrics().sent(topic, 1, reply.len()),
            Replied::Lost | Replied::TotalFull => lost(topic),
        }
    });
    if let Err(error) = queued {
        warn(topic, &error, "a request gets no reply");
    }
}

/// The requester learns it from the end of the connection.
fn lost(topic: TopicName<'_>) {
    tracing::debug!(topic = topic.as_str(), "dropped a reply: its connection has ended");
}

/// Encodes a reply, or an error reply if the reply can't be sent. Calls `then` once with the bytes, unless neither can
/// be encoded.
fn encoded_reply<'t, R: Serialize>(
    endpoint: &impl EndpointState,
    kind: &EnvelopeKind,
    topic: TopicName<'t>,
    outcome: &Result<R, ErrorReply>,
    mut then: impl FnMut(TopicName<'t>, &[u8]),
) {
    let kind = &kind.reply();
    let unsent = match outcome {
        Err(error_reply) => {
            encoded_error_reply(endpoint, kind, error_reply, &mut then).err().map(|_| error_reply.clone())
        }
        Ok(reply) => {
            let unsent =
                encoded(endpoint, &Tail::of(kind), topic.as_str(), reply, |bytes| then(topic, bytes)).err();
            unsent.and_then(|error| {
                warn(topic, &error, "a reply can't be sent");
                let error_reply = ErrorReply::new(ErrorReply::FAILED, error.to_string());
                encoded_error_reply(endpoint, kind, &error_reply, &mut then).err().map(|_| error_reply)
            })
        }
    };
    // Without its text an error reply is shorter, and the code says most.
    if let Some(error_reply) = unsent
        && let Err(error) = encoded_error_reply(endpoint, kind, &error_reply.without_text(), &mut then)
    {
        warn(topic, &error, "a request gets no reply");
    }
}

fn encoded_error_reply<'t>(
    endpoint: &impl EndpointState,
    kind: &EnvelopeKind,
    error_reply: &ErrorReply,
    then: &mut impl FnMut(TopicName<'t>, &[u8]),
) -> Result<(), SendError> {
    let topic = TopicName::AtRunTime(ERROR_TOPIC);
    encoded(endpoint, &Tail { kind, is_error: true }, ERROR_TOPIC, error_reply, |bytes| then(topic, bytes))
}

fn warn(topic: TopicName<'_>, error: &SendError, what: &str) {
    tracing::warn!(topic = topic.as_str(), error = error as &dyn std::error::Error, "{what}");
}

/// The span in which a responder runs.
pub(crate) fn request_span(topic: &str, kind: &EnvelopeKind) -> Span {
    let id = if let EnvelopeKind::Request(id) = kind { Some(tracing::field::display(id)) } else { None };
    tracing::debug_span!("request", topic, id)
}
