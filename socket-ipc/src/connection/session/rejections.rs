//! Messages and requests that are not dispatched, and what is reported or replied instead.

use super::held_requests::request_id;
use crate::connection::context::ConnectionContext;
use crate::connection::running_responders::RunningResponders;
use crate::connection::{EndpointState, Limits};
use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::router::Report as _;
use crate::wire::{EnvelopeKind, ReplyTo, RequestId, reply_id_at_end, request_id_at_end};

/// Rejects a request that must not be dispatched beside the running streams, and says whether it did.
pub(super) fn rejected_beside_streams<E: EndpointState>(
    responders: &RunningResponders<E>,
    context: &ConnectionContext<E>,
    bytes: &[u8],
) -> bool {
    let limits = context.limits();
    if !responders.has_streams() {
        return false;
    }
    let Some(id) = request_id(limits.wire, bytes) else { return false };
    if responders.is_stream(&id) {
        // No reply: it would end the stream.
        report_in_flight(context, bytes, &id);
    } else if responders.is_full(context.limits()) {
        let topic = limits.wire.decode(bytes).map(|envelope| envelope.topic.into_owned()).unwrap_or_default();
        let error_reply = ErrorReply::new(ErrorReply::TOO_MANY_REQUESTS, no_place(limits));
        context.send_error_reply(&ReplyTo::Request(id), &topic, error_reply, context.from);
    } else {
        return false;
    }
    context.endpoint.router().count_reply(bytes);
    true
}

/// Asks the program whether a message may be dispatched. If it may not, rejects the message, and returns `true`.
#[inline(never)]
pub(super) fn is_forbidden<E: EndpointState>(context: &ConnectionContext<E>, bytes: &[u8]) -> bool {
    let limits = context.limits();
    let report = |kind| {
        context.endpoint.router().count_reply(bytes);
        let error = MessageError::new(kind, bytes, bytes.len() as u64, limits.raw_len);
        context.endpoint.message_error(error, context.from);
    };
    let envelope = match limits.wire.decode(bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            // Not left to the router: a lenient `Deserialize` of its only listener may take what is no JSON.
            report(MessageErrorKind::Envelope(error));
            return true;
        }
    };
    // Too long a topic reaches no listener: the router reports it.
    let (topic, Some(attempt)) = (&*envelope.topic, envelope.attempt()) else { return false };
    if topic.len() > limits.max_topic_len {
        return false;
    }
    let Err(error_reply) = context.endpoint.authorize(&envelope, attempt, context.from) else { return false };
    if let EnvelopeKind::Request(id) = envelope.kind {
        context.endpoint.router().count_reply(bytes);
        context.send_error_reply(&ReplyTo::Request(id), topic, error_reply, context.from);
    } else {
        let (code, text) = (error_reply.code().to_owned(), error_reply.text().to_owned());
        report(MessageErrorKind::Forbidden { topic: topic.to_owned(), code, text });
        if context.endpoint.router().replies_to_messages(topic) {
            context.send_error_reply(&ReplyTo::Listeners, topic, error_reply, context.from);
        }
    }
    true
}

/// Why a request is rejected while all places are taken.
pub(super) fn no_place(limits: &Limits) -> String {
    let places = limits.max_requests;
    format!(
        "all {places} places of `max_requests` are taken, some by streams: end a stream, or try again later"
    )
}

/// Why a long request is rejected while the inbox budget is full.
pub(super) fn no_room(limit: usize) -> String {
    format!(
        "received messages and running requests take {limit} bytes, the limit of `inbox_total_len`: try again later"
    )
}

/// Reports a message over the limit at the front of `unread`: `kept` bytes of it are there, and it takes `taken` with
/// its delimiter. If it is a request or a reply, the requester gets an error, too.
pub(super) fn report_too_long<E: EndpointState>(
    unread: &[u8],
    context: &ConnectionContext<E>,
    size: u64,
    kept: usize,
    taken: usize,
) {
    let Limits { wire, max_message_len: limit, raw_len, .. } = *context.limits();
    let error = MessageError::new(MessageErrorKind::TooLong { limit }, &unread[..kept], size, raw_len);
    context.endpoint.message_error(error, context.from);
    let bytes = &unread[..taken - wire.delimiter().len()];
    if let Some(re) = reply_id_at_end(bytes) {
        context.link.pending_requests.too_long(re, size, limit);
    } else if let Some(id) = request_id_at_end(bytes) {
        let text = format!("it takes {size} bytes, over the limit of {limit}");
        let error_reply = ErrorReply::new(ErrorReply::UNDECODABLE, text);
        context.send_error_reply(&ReplyTo::Request(id), "", error_reply, context.from);
    }
}

/// Reports a request with the id of another one in flight.
pub(super) fn report_in_flight<E: EndpointState>(
    context: &ConnectionContext<E>,
    bytes: &[u8],
    id: &RequestId,
) {
    let kind = MessageErrorKind::IdInFlight { id: id.to_string() };
    let error = MessageError::new(kind, bytes, bytes.len() as u64, context.limits().raw_len);
    context.endpoint.message_error(error, context.from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejection_without_room_names_the_limit() {
        let text = no_room(4711);
        assert!(text.contains("4711 bytes") && text.contains("`inbox_total_len`"), "{text}");
    }
}
