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
/// The message is encoded only once there is room for `len` bytes, its length if it is known, so that a waiting sender
/// holds no bytes. If it is larger than the room, it waits again.
pub(crate) async fn queue_paced<M: Serialize + ?Sized>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    topic: TopicName<'_>,
    message: &M,
    mut len: usize,
) -> Result<bool, SendError> {
    // The first check is cheap, and mostly there is room.
    while (outbox.has_room(len) && !outbox.has_ended()) || outbox.wait_for_room(len).await.is_ok() {
        let queued = encoded(endpoint, Tail::Message, topic.as_str(), message, |bytes| {
            len = bytes.len();
            outbox.push_paced(bytes, topic)
        })?;
        match queued {
            Ok(()) => return Ok(true),
            Err(PushError::Full { .. } | PushError::TotalFull) => {}
            Err(PushError::Ended) => break,
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use serde::Serializer;

    use super::*;
    use crate::connection::OutboxBudget;
    use crate::connection::session::walk::fake::Fake;
    use crate::metrics::Metrics;

    /// A message that counts how often it is encoded.
    struct Counted<'c>(&'c AtomicUsize);

    impl Serialize for Counted<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            serializer.serialize_unit()
        }
    }

    fn outbox(limit: usize) -> Arc<Outbox> {
        Arc::new(Outbox::new(limit, OutboxBudget::new(usize::MAX), Metrics::new()))
    }

    #[test]
    fn encoded_topic_longer_than_its_limit_is_named_up_to_it() {
        let endpoint = Fake::new(Limits { max_topic_len: 4, ..Limits::default() }, &outbox(100));
        let encode = |topic: &str| encoded(&*endpoint, Tail::Message, topic, &(), <[u8]>::len);
        assert!(encode("four").is_ok());
        for (topic, named) in [("fives", "five"), ("abcé", "abc"), ("ab€d", "ab"), ("€€", "€")] {
            let error = encode(topic).unwrap_err();
            let SendError::TopicTooLong { topic: kept, size, limit: 4 } = error else { panic!("{error}") };
            assert_eq!((&*kept, size), (named, topic.len()));
        }
    }

    #[test]
    fn queue_paced_encodes_once_there_is_room_and_never_after_the_end() {
        let (outbox, encodings) = (outbox(40), AtomicUsize::new(0));
        let endpoint = Fake::new(Limits::default(), &outbox);
        // Two of them have no room together.
        let message = Counted(&encodings);
        let queue = || queue_paced(&*endpoint, &outbox, TopicName::AtRunTime("t"), &message, 0);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(matches!(pin!(queue()).poll(cx), Poll::Ready(Ok(true))));
        let mut waiting = pin!(queue());
        assert!(waiting.as_mut().poll(cx).is_pending() && waiting.as_mut().poll(cx).is_pending());
        assert_eq!(encodings.load(Ordering::Relaxed), 2, "it was encoded once to see that it has no room");
        let segment = outbox.take().unwrap();
        outbox.written(&segment, segment.bytes().len(), true);
        assert!(matches!(waiting.poll(cx), Poll::Ready(Ok(true))));
        assert_eq!(encodings.load(Ordering::Relaxed), 3);
        outbox.end();
        assert!(matches!(pin!(queue()).poll(cx), Poll::Ready(Ok(false))));
        assert_eq!(encodings.load(Ordering::Relaxed), 3);
    }
}
