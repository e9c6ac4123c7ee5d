//! A reply, or a refusal, to the outbox of whoever asked.

use std::error::Error as _;

use serde::Serialize;

use super::outbox::Outbox;
use super::{Endpoint, encoded};
use crate::error::SendError;
use crate::refusal::{REFUSAL_TOPIC, Refusal};
use crate::wire::Kind;

/// Queues the answer to a message of this kind, whatever the outbox holds: the session hears nothing more until there is
/// room again.
pub(crate) fn reply<R: Serialize>(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: Kind,
    topic: &str,
    outcome: &Result<R, Refusal>,
) {
    encoded_answer(endpoint, kind, topic, outcome, |bytes| {
        if !outbox.push_answer(bytes) {
            tracing::debug!(topic, "an answer came after its connection had ended");
        }
    });
}

/// Queues the answer to a message of this kind once there is room for it.
pub(crate) async fn reply_paced<R: Serialize>(
    endpoint: &impl Endpoint,
    outbox: &Outbox,
    kind: Kind,
    topic: &str,
    outcome: Result<R, Refusal>,
) {
    let mut bytes = Vec::new();
    encoded_answer(endpoint, kind, topic, &outcome, |encoded| {
        if outbox.has_room(encoded.len()) {
            outbox.push_answer(encoded);
        } else {
            bytes = encoded.to_vec();
        }
    });
    drop(outcome);
    if bytes.is_empty() {
        return;
    }
    // A connection that is about to end takes what fits.
    let _ = outbox.wait_until(|outbox| outbox.has_room(bytes.len())).await;
    if !outbox.has_room(bytes.len()) || !outbox.push_answer(&bytes) {
        tracing::debug!(topic, "an answer came after its connection had ended");
    }
}

/// Encodes an answer; where it has no form in which it could travel, a refusal that says so.
fn encoded_answer<R: Serialize>(
    endpoint: &impl Endpoint,
    kind: Kind,
    topic: &str,
    outcome: &Result<R, Refusal>,
    then: impl FnOnce(&[u8]),
) {
    let mut then = Some(then);
    let mut hand_over = |bytes: &[u8]| then.take().map(|then| then(bytes));
    let kind = kind.answer();
    let refused = match outcome {
        Ok(reply) => encoded(endpoint, kind, topic, reply, &mut hand_over),
        Err(refusal) => encoded(endpoint, kind, REFUSAL_TOPIC, refusal, &mut hand_over),
    };
    let Err(error) = refused else { return };
    tracing::warn!(topic, error = &error as &dyn std::error::Error, "an answer can't be sent");
    let refusal = Refusal::new(Refusal::FAILED, in_full(&error));
    if let Err(error) = encoded(endpoint, kind, REFUSAL_TOPIC, &refusal, &mut hand_over) {
        tracing::warn!(topic, error = &error as &dyn std::error::Error, "a question stays without an answer");
    }
}

/// What an error says, and what its cause does.
fn in_full(error: &SendError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
