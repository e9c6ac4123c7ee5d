//! Requests of the clients of this node that another node replies to.

use std::sync::Arc;

use super::error::ForwardError;
use super::forward_streams::forward_error;
use super::requests::Sent;
use super::shared::Shared;
use crate::client_id::ClientId;
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::listener::ListenerId;
use crate::server::ServerHandle;
use crate::sync::lock;
use crate::topic::Request;
use crate::wire::raw_message::RawMessage;

/// The code of the error reply where the node that has the request is silent.
const LOST: &str = "lost";

/// The code of the error reply where there is no connection to the NATS server.
const LINK_DOWN: &str = "link_down";

/// Attaches a responder that forwards the requests of `T`, for as long as this server has no other.
pub(super) fn attach<T: Request>(shared: &Arc<Shared>) -> Result<(), ForwardError> {
    let weak = Arc::downgrade(shared);
    let forward = move |request: RawMessage<'static>, client: ClientId| {
        let weak = weak.clone();
        async move {
            // A request that came from another node is never forwarded: it could go round for ever.
            let shared = weak.upgrade().filter(|_| !client.is_remote());
            let Some(shared) = shared else { return Err(no_responder(T::NAME)) };
            let subject = shared.subjects.requests(T::NAME);
            let payload = request.as_str().as_bytes().to_vec();
            match shared.request(subject, client.get(), payload).await {
                Sent::Reply(reply) => Ok(reply),
                sent => Err(error_of(T::NAME, sent)),
            }
        }
    };
    register(shared, T::NAME, |server| server.respond_fallback::<T, _>(forward))
}

/// Attaches a responder that forwards, and notes it, so that it goes when this node leaves.
pub(super) fn register(
    shared: &Shared,
    topic: &str,
    attach: impl FnOnce(&ServerHandle) -> Result<ListenerId, RegisterError>,
) -> Result<(), ForwardError> {
    // Under the lock: what leaves removes those that are in the list.
    let mut forwarders = lock(&shared.forwarders);
    if shared.is_leaving() {
        return Err(ForwardError::Left { topic: topic.to_owned() });
    }
    forwarders.push(attach(&shared.server).map_err(|error| forward_error(topic, &error))?);
    Ok(())
}

pub(super) fn no_responder(topic: &str) -> ErrorReply {
    ErrorReply::new(ErrorReply::NO_RESPONDER, format!("no node responds to `{topic}`"))
}

/// The error reply to the client.
pub(super) fn error_of(topic: &str, sent: Sent) -> ErrorReply {
    match sent {
        // The node of a client says the second of a request for that client alone.
        Sent::Error(error) | Sent::ConnectionLost(error) => error,
        Sent::Nobody | Sent::UnknownClient => no_responder(topic),
        Sent::Left => ErrorReply::new(LINK_DOWN, "this node has left the domain"),
        Sent::LinkDown => ErrorReply::new(
            LINK_DOWN,
            format!("no connection to the NATS server: `{topic}` may not have arrived"),
        ),
        Sent::Lost { silence } => {
            ErrorReply::new(LOST, format!("the node that has `{topic}` gave no sign of life for {silence:?}"))
        }
        Sent::ItemsLost { count } => ErrorReply::new(
            LOST,
            format!("{count} items of `{topic}` or more were lost on the way between the nodes"),
        ),
        Sent::TooLarge { len, limit } => ErrorReply::new(
            ErrorReply::FAILED,
            format!(
                "`{topic}`: its {len} bytes are over the {limit} that the NATS server's `max_payload` leaves for a message"
            ),
        ),
        Sent::TooMany { limit } => ErrorReply::new(
            ErrorReply::TOO_MANY_REQUESTS,
            format!("{limit} requests to other nodes are pending, the most that `max_requests` allows"),
        ),
        Sent::Undecodable(reason) => ErrorReply::new(
            ErrorReply::FAILED,
            format!("what comes back for `{topic}` is not JSON: {reason}"),
        ),
        Sent::BeyondWindow { size, window } => ErrorReply::new(
            ErrorReply::WINDOW,
            format!("an item of `{topic}`, of {size} bytes, is beyond the window of {window} bytes"),
        ),
        // A reply to the request of a stream.
        Sent::NotAStream | Sent::Reply(_) => ErrorReply::new(
            ErrorReply::STREAM,
            format!("another node replied to the stream `{topic}` with a single reply"),
        ),
    }
}
