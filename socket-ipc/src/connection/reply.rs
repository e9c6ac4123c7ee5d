//! A reply, or an error reply, to the outbox of the connection that the request came over.

use serde::Serialize;
use tracing::Span;

use super::outbox::{HeldReply, Outbox, PushError, Replied};
use super::{Endpoint, encoded};
use crate::error::SendError;
use crate::refusal::{REFUSAL_TOPIC, Refusal};
use crate::topic::TopicName;
use crate::wire::{Kind, Tail};

/// Queues the answer to a message of this kind, however much the outbox holds: the session dispatches no further message
/// until there is room again. Where all outboxes together have no room for it, an error reply that says so.
pub(crate) fn reply<R: Serialize>(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: &Kind,
    topic: TopicName<'_>,
    outcome: &Result<R, Refusal>,
) {
    // Nobody is left to read it: not worth encoding.
    if outbox.is_broken() {
        return lost(topic);
    }
    encoded_answer(endpoint, kind, topic, outcome, |topic, answer| {
        queue(endpoint, outbox, kind, topic, answer)
    });
}

/// Queues the answer to a message of this kind once there is room for it.
pub(crate) async fn reply_paced<R: Serialize>(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: &Kind,
    topic: TopicName<'_>,
    outcome: Result<R, Refusal>,
) {
    let mut waiting = None;
    encoded_answer(endpoint, kind, topic, &outcome, |topic, answer| {
        // One that is about to end takes it all the same: that is what the drain is for.
        if outbox.has_ended() || outbox.has_room(answer.len()) {
            return queue(endpoint, outbox, kind, topic, answer);
        }
        match outbox.hold_reply(answer.to_vec()) {
            Ok(held) => waiting = Some((topic, held)),
            Err(error) => refuse(endpoint, outbox, kind, topic, answer.len(), error),
        }
    });
    drop(outcome);
    let Some((topic, held)) = waiting else { return };
    match HeldReply::queue(held).await {
        Some(len) => endpoint.figures().sent(topic, 1, len),
        None => lost(topic),
    }
}

fn queue(endpoint: &impl Endpoint, outbox: &Outbox, kind: &Kind, topic: TopicName<'_>, answer: &[u8]) {
    match outbox.push_reply(answer) {
        Replied::Queued => endpoint.figures().sent(topic, 1, answer.len()),
        Replied::Lost => lost(topic),
        Replied::TotalFull => refuse(endpoint, outbox, kind, topic, answer.len(), PushError::TotalFull),
    }
}

/// Queues an error reply in the place of a reply of `len` bytes that has no room.
fn refuse(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: &Kind,
    topic: TopicName<'_>,
    len: usize,
    error: PushError,
) {
    let name = topic.as_str();
    let text = match error {
        PushError::Full { queued } => format!(
            "no room for a reply of {len} bytes, `{name}`: replies of {queued} bytes wait already to be read. Read them, \
             request less at once, or raise `outbox_len`"
        ),
        _ => {
            let (queued, limit) = outbox.total();
            format!(
                "no room for a reply of {len} bytes, `{name}`: all outboxes together hold {queued} of {limit} bytes. \
                 Request it later, or raise `outbox_total_len`"
            )
        }
    };
    tracing::warn!(topic = name, len, "a reply has no room: {text}");
    let refusal = Refusal::new(Refusal::FAILED, text);
    let queued = encoded_refusal(endpoint, &kind.answer(), &refusal, &mut |topic, answer: &[u8]| {
        // It is short, and so is always queued.
        match outbox.push_reply(answer) {
            Replied::Queued => endpoint.figures().sent(topic, 1, answer.len()),
            Replied::Lost | Replied::TotalFull => lost(topic),
        }
    });
    if let Err(error) = queued {
        warn(topic, &error, "a request stays without a reply");
    }
}

/// Whoever asked is told by the end of the connection.
fn lost(topic: TopicName<'_>) {
    tracing::debug!(topic = topic.as_str(), "an answer came after its connection had ended");
}

/// Encodes an answer; where it has no form in which it could travel, a refusal that says so. Calls `then` once, with what
/// travels, if anything can.
fn encoded_answer<'t, R: Serialize>(
    endpoint: &impl Endpoint,
    kind: &Kind,
    topic: TopicName<'t>,
    outcome: &Result<R, Refusal>,
    mut then: impl FnMut(TopicName<'t>, &[u8]),
) {
    let kind = &kind.answer();
    let unsent = match outcome {
        Err(refusal) => encoded_refusal(endpoint, kind, refusal, &mut then).err().map(|_| refusal.clone()),
        Ok(reply) => {
            let unsent =
                encoded(endpoint, &Tail::of(kind), topic.as_str(), reply, |bytes| then(topic, bytes)).err();
            unsent.and_then(|error| {
                warn(topic, &error, "an answer can't be sent");
                let refusal = Refusal::new(Refusal::FAILED, error.to_string());
                encoded_refusal(endpoint, kind, &refusal, &mut then).err().map(|_| refusal)
            })
        }
    };
    // The code says most of it.
    if let Some(refusal) = unsent
        && let Err(error) = encoded_refusal(endpoint, kind, &refusal.without_text(), &mut then)
    {
        warn(topic, &error, "a question stays without an answer");
    }
}

fn encoded_refusal<'t>(
    endpoint: &impl Endpoint,
    kind: &Kind,
    refusal: &Refusal,
    then: &mut impl FnMut(TopicName<'t>, &[u8]),
) -> Result<(), SendError> {
    let topic = TopicName::AtRunTime(REFUSAL_TOPIC);
    encoded(endpoint, &Tail { kind, is_error: true }, REFUSAL_TOPIC, refusal, |bytes| then(topic, bytes))
}

fn warn(topic: TopicName<'_>, error: &SendError, what: &str) {
    tracing::warn!(topic = topic.as_str(), error = error as &dyn std::error::Error, "{what}");
}

/// What a responder does happens in it.
pub(crate) fn request_span(topic: &str, kind: &Kind) -> Span {
    let id = if let Kind::Question(id) = kind { Some(tracing::field::display(id)) } else { None };
    tracing::debug_span!("request", topic, id)
}
