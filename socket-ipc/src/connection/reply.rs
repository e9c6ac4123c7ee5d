//! A reply, or a refusal, to the outbox of whoever asked.

use std::error::Error as _;

use serde::Serialize;
use tracing::Span;

use super::outbox::Outbox;
use super::{Endpoint, encoded};
use crate::error::SendError;
use crate::refusal::{REFUSAL_TOPIC, Refusal};
use crate::topic::TopicName;
use crate::wire::Kind;

/// Queues the answer to a message of this kind, whatever the outbox holds: the session hears nothing more until there is
/// room again.
pub(crate) fn reply<R: Serialize>(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: Kind,
    topic: TopicName<'_>,
    outcome: &Result<R, Refusal>,
) {
    // Nobody is left to read it: not worth encoding.
    if outbox.is_broken() {
        return lost(topic);
    }
    encoded_answer(endpoint, kind, topic, outcome, |topic, answer| queue(endpoint, outbox, topic, answer));
}

/// Queues the answer to a message of this kind once there is room for it.
pub(crate) async fn reply_paced<R: Serialize>(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: Kind,
    topic: TopicName<'_>,
    outcome: Result<R, Refusal>,
) {
    let mut waiting = None;
    encoded_answer(endpoint, kind, topic, &outcome, |topic, answer| {
        if outbox.has_room(answer.len()) {
            queue(endpoint, outbox, topic, answer);
        } else {
            waiting = Some((topic, answer.to_vec()));
        }
    });
    drop(outcome);
    let Some((topic, answer)) = waiting else { return };
    // One that is about to end takes it all the same: that is what the drain is for.
    let _ = outbox.wait_until(|outbox| outbox.has_room(answer.len())).await;
    queue(endpoint, outbox, topic, &answer);
}

fn queue(endpoint: &impl Endpoint, outbox: &Outbox, topic: TopicName<'_>, answer: &[u8]) {
    if outbox.push_answer(answer) {
        endpoint.figures().sent(topic, 1, answer.len());
    } else {
        lost(topic);
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
    kind: Kind,
    topic: TopicName<'t>,
    outcome: &Result<R, Refusal>,
    mut then: impl FnMut(TopicName<'t>, &[u8]),
) {
    let kind = kind.answer();
    let unsent = match outcome {
        Err(refusal) => encoded_refusal(endpoint, kind, refusal, &mut then).err().map(|_| refusal.clone()),
        Ok(reply) => {
            let unsent = encoded(endpoint, kind, topic.as_str(), reply, |bytes| then(topic, bytes)).err();
            unsent.and_then(|error| {
                warn(topic, &error, "an answer can't be sent");
                let refusal = Refusal::new(Refusal::FAILED, in_full(&error));
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
    kind: Kind,
    refusal: &Refusal,
    then: &mut impl FnMut(TopicName<'t>, &[u8]),
) -> Result<(), SendError> {
    let topic = TopicName::AtRunTime(REFUSAL_TOPIC);
    encoded(endpoint, kind, REFUSAL_TOPIC, refusal, |bytes| then(topic, bytes))
}

fn warn(topic: TopicName<'_>, error: &SendError, what: &str) {
    tracing::warn!(topic = topic.as_str(), error = error as &dyn std::error::Error, "{what}");
}

/// What a responder does happens in it.
pub(crate) fn request_span(topic: &str, kind: Kind) -> Span {
    let id = if let Kind::Question(id) = kind { Some(id) } else { None };
    tracing::debug_span!("request", topic, id)
}

/// What an error says, and what its cause does.
fn in_full(error: &SendError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
