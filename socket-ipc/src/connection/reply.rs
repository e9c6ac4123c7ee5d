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
    match outbox.wait_until(|outbox| outbox.has_room(answer.len())).await {
        Ok(()) => queue(endpoint, outbox, topic, &answer),
        // A connection that is about to end takes what fits.
        Err(_) if outbox.has_room(answer.len()) => queue(endpoint, outbox, topic, &answer),
        Err(_) => lost(topic),
    }
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

/// Encodes an answer; where it has no form in which it could travel, a refusal that says so.
fn encoded_answer<'t, R: Serialize>(
    endpoint: &impl Endpoint,
    kind: Kind,
    topic: TopicName<'t>,
    outcome: &Result<R, Refusal>,
    then: impl FnOnce(TopicName<'t>, &[u8]),
) {
    const REFUSAL: TopicName<'static> = TopicName::AtRunTime(REFUSAL_TOPIC);
    let kind = kind.answer();
    let mut then = Some(then);
    let mut hand_over = |topic, bytes: &[u8]| {
        if let Some(then) = then.take() {
            then(topic, bytes);
        }
    };
    let encoded_as_it_is = match outcome {
        Ok(reply) => encoded(endpoint, kind, topic.as_str(), reply, |bytes| hand_over(topic, bytes)),
        Err(refusal) => encoded(endpoint, kind, REFUSAL_TOPIC, refusal, |bytes| hand_over(REFUSAL, bytes)),
    };
    let Err(error) = encoded_as_it_is else { return };
    let topic = topic.as_str();
    tracing::warn!(topic, error = &error as &dyn std::error::Error, "an answer can't be sent");
    let refusal = Refusal::new(Refusal::FAILED, in_full(&error));
    if let Err(error) = encoded(endpoint, kind, REFUSAL_TOPIC, &refusal, |bytes| hand_over(REFUSAL, bytes)) {
        tracing::warn!(topic, error = &error as &dyn std::error::Error, "a question stays without an answer");
    }
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
