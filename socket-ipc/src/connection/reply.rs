//! Queues a reply, or an error reply, in the outbox of the connection that the request came over.

use std::sync::atomic::Ordering;

use serde::Serialize;
use tracing::Span;

use super::encode::encoded_for;
use super::outbox::{HeldReply, Outbox, PushError, Replied};
use super::{EndpointState, encoded};
use crate::error::SendError;
use crate::error::error_reply::{ERROR_TOPIC, ErrorReply};
use crate::topic::{Request, TopicName};
use crate::wire::{ReplyTo, Tail};

/// Queues a reply, even over the limit of the outbox. Over the limit, the session dispatches no further message until
/// there is room. Where all outboxes together have no room for the reply, an error reply that says so is queued.
pub(crate) fn reply<R: Serialize, X: Serialize>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    to: &ReplyTo,
    topic: TopicName<'_>,
    outcome: Outcome<'_, R, X>,
) {
    // The peer reads no more: the reply is not worth encoding.
    if outbox.is_broken() {
        return lost(topic);
    }
    encoded_reply(endpoint, to, topic, outcome, |topic, reply| queue(endpoint, outbox, to, topic, reply));
}

/// Queues the reply once there is room for it, however many wait. Returns an error if the reply can't be sent at all:
/// then the requester gets an error reply.
pub(crate) async fn reply_with_room<T>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    to: &ReplyTo,
    topic: TopicName<'_>,
    outcome: Result<T::Reply, T::Error>,
) -> Option<SendError>
where
    T: Request,
    T::Reply: Serialize,
    T::Error: Serialize,
{
    // A reply that waits here is not counted: the program holds it, as it holds the sender.
    let mut encoded = None;
    let unsendable = encoded_reply(endpoint, to, topic, Outcome::of::<T>(&outcome), |topic, reply| {
        encoded = Some((topic, reply.to_vec()));
    });
    drop(outcome);
    let Some((topic, reply)) = encoded else { return unsendable };
    while outbox.wait_for_room(reply.len()).await.is_ok() {
        match outbox.push_reply_within(&reply) {
            Ok(()) => {
                endpoint.metrics().sent(topic, 1, reply.len());
                return unsendable;
            }
            Err(PushError::Ended) => break,
            // Another sender was faster.
            Err(PushError::Full { .. } | PushError::TotalFull) => {}
        }
    }
    // An outbox that is about to end takes it at once: the drain still writes it.
    queue(endpoint, outbox, to, topic, &reply);
    unsendable
}

/// Queues the reply of a running responder, if there is room for it. Otherwise, unless too many wait already, returns
/// it, to be queued once there is room.
// Not asynchronous itself: the future of a responder would hold the outcome once more.
pub(crate) fn reply_or_hold<'o, T>(
    endpoint: &impl EndpointState,
    outbox: &'o Outbox,
    to: &ReplyTo,
    topic: TopicName<'static>,
    outcome: &Result<T::Reply, T::Error>,
) -> Option<WaitingReply<'o>>
where
    T: Request,
    T::Reply: Serialize,
    T::Error: Serialize,
{
    let mut waiting = None;
    encoded_reply(endpoint, to, topic, Outcome::of::<T>(outcome), |topic, reply| {
        // An outbox that is about to end takes it at once: the drain still writes it.
        if outbox.has_ended() || outbox.has_room(reply.len()) {
            return queue(endpoint, outbox, to, topic, reply);
        }
        match outbox.hold_reply(reply.to_vec()) {
            Ok(reply) => waiting = Some(WaitingReply { topic, reply }),
            Err(error) => reject(endpoint, outbox, to, topic, reply.len(), error),
        }
    });
    waiting
}

/// A reply that waits for room in the outbox.
pub(crate) struct WaitingReply<'o> {
    topic: TopicName<'static>,
    reply: HeldReply<'o>,
}

impl WaitingReply<'_> {
    /// Queues the reply once there is room.
    pub(crate) async fn queue(self, endpoint: &impl EndpointState) {
        match self.reply.queue().await {
            Some(len) => endpoint.metrics().sent(self.topic, 1, len),
            None => lost(self.topic),
        }
    }
}

/// Why a reply was not queued.
pub(crate) enum NotReplied {
    /// There is no room for its `size` bytes.
    Full {
        size: usize,
        queued: usize,
        limit: usize,
    },
    Closed,
    /// It can't be encoded: an error reply that says so is queued instead.
    Unsendable(SendError),
}

/// Queues a reply, if there is room for it.
pub(crate) fn reply_within<R: Serialize, X: Serialize>(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    to: &ReplyTo,
    topic: TopicName<'_>,
    outcome: Outcome<'_, R, X>,
) -> Result<(), NotReplied> {
    let mut result = Ok(());
    let unsendable = encoded_reply(endpoint, to, topic, outcome, |topic, reply| {
        result = match outbox.push_reply_within(reply) {
            Ok(()) => {
                endpoint.metrics().sent(topic, 1, reply.len());
                Ok(())
            }
            Err(PushError::Ended) => Err(NotReplied::Closed),
            Err(PushError::Full { queued }) => {
                Err(NotReplied::Full { size: reply.len(), queued, limit: outbox.limit() })
            }
            Err(PushError::TotalFull) => {
                let (queued, limit) = outbox.total();
                Err(NotReplied::Full { size: reply.len(), queued, limit })
            }
        };
    });
    match unsendable {
        Some(error) if result.is_ok() => Err(NotReplied::Unsendable(error)),
        _ => result,
    }
}

fn queue(endpoint: &impl EndpointState, outbox: &Outbox, to: &ReplyTo, topic: TopicName<'_>, reply: &[u8]) {
    match outbox.push_reply(reply) {
        Replied::Queued => endpoint.metrics().sent(topic, 1, reply.len()),
        Replied::Lost => lost(topic),
        Replied::TotalFull => reject(endpoint, outbox, to, topic, reply.len(), PushError::TotalFull),
    }
}

/// Queues an error reply instead of a reply of `len` bytes that has no room.
fn reject(
    endpoint: &impl EndpointState,
    outbox: &Outbox,
    to: &ReplyTo,
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
    let queued = encoded_error(endpoint, to, topic, &error_reply, &mut |topic, reply: &[u8]| {
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

/// Logs that a reply is lost. The end of the connection tells the requester.
fn lost(topic: TopicName<'_>) {
    tracing::debug!(topic = topic.as_str(), "dropped a reply: its connection has ended");
}

/// What a responder returned.
#[derive(Debug)]
pub(crate) enum Outcome<'o, R, X = ErrorReply> {
    Reply(&'o R),
    /// An error of the request's own type, and its text.
    Error(&'o X, String),
    ErrorReply(&'o ErrorReply),
}

impl<'o, R, X> Outcome<'o, R, X> {
    pub(crate) fn of<T: Request<Reply = R, Error = X>>(outcome: &'o Result<R, X>) -> Self {
        match outcome {
            Ok(reply) => Self::Reply(reply),
            Err(error) => match T::error_reply(error) {
                Some(error_reply) => Self::ErrorReply(error_reply),
                None => Self::Error(error, T::error_text(error)),
            },
        }
    }
}

impl<'o, R> Outcome<'o, R> {
    pub(crate) fn untyped(outcome: &'o Result<R, ErrorReply>) -> Self {
        match outcome {
            Ok(reply) => Self::Reply(reply),
            Err(error_reply) => Self::ErrorReply(error_reply),
        }
    }
}

/// The message of an error reply that carries an error of the request's own type.
#[derive(Serialize)]
struct TypedError<'e, X> {
    code: &'static str,
    text: &'e str,
    data: &'e X,
}

/// Encodes a reply, or, where it can't be sent, an error reply that says so. Calls `then` once with the bytes, if
/// either can be encoded and a requester or listeners are to get it. Returns why the reply itself was not encoded.
fn encoded_reply<'t, R: Serialize, X: Serialize>(
    endpoint: &impl EndpointState,
    to: &ReplyTo,
    topic: TopicName<'t>,
    outcome: Outcome<'_, R, X>,
    mut then: impl FnMut(TopicName<'t>, &[u8]),
) -> Option<SendError> {
    let re = match to {
        ReplyTo::Request(id) => Some(id),
        ReplyTo::Listeners => None,
        ReplyTo::Nobody => {
            endpoint.metrics().dropped_replies.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(topic = topic.as_str(), "dropped the reply to a message without an id");
            return None;
        }
    };
    let (unsent, text) = match outcome {
        Outcome::Reply(reply) => {
            let tail = Tail::Reply { re, is_error: false };
            let unsent = encoded(endpoint, tail, topic.as_str(), reply, |bytes| then(topic, bytes)).err();
            (unsent, String::new())
        }
        Outcome::Error(error, text) => {
            let error = TypedError { code: ErrorReply::FAILED, text: &text, data: error };
            (encoded_error(endpoint, to, topic, &error, &mut then).err(), text)
        }
        Outcome::ErrorReply(error_reply) => {
            let unsent = encoded_error(endpoint, to, topic, error_reply, &mut then).err();
            if unsent.is_some() {
                // The code alone is shorter, and says most.
                code_only(endpoint, to, topic, error_reply.clone(), &mut then);
            }
            return unsent;
        }
    };
    if let Some(error) = &unsent {
        warn(topic, error, "a reply can't be sent");
        // The text of an error says what happened, also without its data. If it is itself too long, it is left out.
        let reason = error.to_string();
        let with_text = (!text.is_empty()).then(|| format!("{text} (sent without its data: {reason})"));
        for text in with_text.into_iter().chain([reason]) {
            let error_reply = ErrorReply::new(ErrorReply::FAILED, text);
            if encoded_error(endpoint, to, topic, &error_reply, &mut then).is_ok() {
                return unsent;
            }
        }
        code_only(endpoint, to, topic, ErrorReply::new(ErrorReply::FAILED, ""), &mut then);
    }
    unsent
}

fn code_only<'t>(
    endpoint: &impl EndpointState,
    to: &ReplyTo,
    topic: TopicName<'t>,
    error_reply: ErrorReply,
    then: &mut impl FnMut(TopicName<'t>, &[u8]),
) {
    if let Err(error) = encoded_error(endpoint, to, topic, &error_reply.code_only(), then) {
        warn(topic, &error, "a request gets no reply");
    }
}

/// Encodes an error reply to a request of `topic`.
fn encoded_error<'t>(
    endpoint: &impl EndpointState,
    to: &ReplyTo,
    topic: TopicName<'_>,
    error: &impl Serialize,
    then: &mut impl FnMut(TopicName<'t>, &[u8]),
) -> Result<(), SendError> {
    let under = TopicName::AtRunTime(ERROR_TOPIC);
    let re = match to {
        ReplyTo::Request(id) => Some(id),
        ReplyTo::Listeners => None,
        ReplyTo::Nobody => return Ok(()),
    };
    let tail = Tail::Reply { re, is_error: true };
    encoded_for(endpoint, tail, ERROR_TOPIC, topic.as_str(), error, |bytes| then(under, bytes))
}

fn warn(topic: TopicName<'_>, error: &SendError, what: &str) {
    tracing::warn!(topic = topic.as_str(), error = error as &dyn std::error::Error, "{what}");
}

/// The span in which a responder runs.
pub(crate) fn request_span(topic: &str, to: &ReplyTo) -> Span {
    let id = if let ReplyTo::Request(id) = to { Some(tracing::field::display(id)) } else { None };
    let span = tracing::debug_span!("request", topic, id);
    #[cfg(feature = "otel")]
    let span = crate::trace::of_request(span);
    span
}

#[cfg(test)]
mod tests;
