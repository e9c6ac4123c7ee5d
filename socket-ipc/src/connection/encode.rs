//! From a message to bytes, in a buffer that the thread keeps.

use std::cell::Cell;

use serde::Serialize;

use super::outbox::{Outbox, PushError};
use super::{EndpointState, Limits};
use crate::error::{Error, SendError};
use crate::listener::caught;
use crate::topic::TopicName;
use crate::wire::{Tail, topic_or_none};

/// The largest buffer that a thread keeps. A message of 1 MiB fits.
const SCRATCH_CAPACITY: usize = 2 * 1024 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a message and hands its bytes to `then`.
pub(crate) fn encoded<M: Serialize + ?Sized, R>(
    endpoint: &impl EndpointState,
    tail: Tail<'_>,
    topic: &str,
    message: &M,
    then: impl FnOnce(&[u8]) -> R,
) -> Result<R, SendError> {
    encoded_for(endpoint, tail, topic, topic, message, then)
}

/// Encodes a message under the topic `under` and hands its bytes to `then`. Errors name the topic `topic`: that of the
/// request, where the message is an error reply.
pub(crate) fn encoded_for<M: Serialize + ?Sized, R>(
    endpoint: &impl EndpointState,
    tail: Tail<'_>,
    under: &str,
    topic: &str,
    message: &M,
    then: impl FnOnce(&[u8]) -> R,
) -> Result<R, SendError> {
    let (under, topic) = (topic_or_none(under), topic_or_none(topic));
    let Limits { wire, max_message_len, max_topic_len, .. } = *endpoint.limits();
    if under.len() > max_topic_len {
        let kept =
            under.char_indices().map(|(at, _)| at).take_while(|at| *at <= max_topic_len).last().unwrap_or(0);
        let (topic, size) = (under[..kept].to_owned(), under.len());
        return Err(SendError::TopicTooLong { topic, size, limit: max_topic_len });
    }
    // Taken from its slot while it is in use: a `Serialize` may itself send.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let result = match caught(|| wire.encode_within(max_message_len, tail, under, message, &mut scratch)) {
        Ok(Ok(())) => Ok(then(&scratch)),
        Ok(Err(error)) => Err(SendError::encode(topic, error)),
        Err(panic) => {
            endpoint.error(Error::SerializePanicked { topic: topic.to_owned(), panic: panic.clone() });
            Err(SendError::EncodePanicked { topic: topic.to_owned(), panic })
        }
    };
    if scratch.capacity() <= SCRATCH_CAPACITY {
        SCRATCH.set(scratch);
    }
    result
}

/// Encodes a message and queues it once the outbox is below the high-water mark and has room; `Ok(false)` once the
/// connection has ended.
///
/// The message is encoded only once there is room, so that a waiting sender holds no bytes. If it is larger than the
/// room, it waits again.
pub(crate) async fn queue_paced<M: Serialize + ?Sized>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    topic: TopicName<'_>,
    message: &M,
) -> Result<bool, SendError> {
    let mut len = 0;
    // The first check is cheap, and mostly there is room.
    while (outbox.has_room(len) && !outbox.has_ended()) || outbox.wait_for_room(len).await.is_ok() {
        let queued = encoded(endpoint, Tail::Message, topic.as_str(), message, |bytes| {
            len = bytes.len();
            if outbox.has_room(len) { outbox.push(bytes, topic) } else { Err(PushError::Full { queued: 0 }) }
        })?;
        match queued {
            Ok(()) => return Ok(true),
            Err(PushError::Full { .. } | PushError::TotalFull) => {}
            Err(PushError::Ended) => break,
        }
    }
    Ok(false)
}
