//! Requests of the clients of this node that another node replies to.

use std::sync::Arc;

use super::error::ForwardError;
use super::requests::Sent;
use super::shared::Shared;
use crate::client_id::ClientId;
use crate::error::error_reply::ErrorReply;
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
            read(T::NAME, shared.request(subject, client.get(), payload).await)
        }
    };
    // Under the lock: what leaves removes those that are in the list.
    let mut forwarders = lock(&shared.forwarders);
    if shared.is_leaving() {
        return Err(ForwardError::Left { topic: T::NAME.to_owned() });
    }
    let attached = shared.server.respond_fallback::<T, _>(forward);
    // Only another forwarder is in its way.
    let already = |_| ForwardError::AlreadyForwarded { topic: T::NAME.to_owned() };
    forwarders.push(attached.map_err(already)?);
    Ok(())
}

fn no_responder(topic: &str) -> ErrorReply {
    ErrorReply::new(ErrorReply::NO_RESPONDER, format!("no node responds to `{topic}`"))
}

/// The reply to the client.
fn read(topic: &str, sent: Sent) -> Result<RawMessage<'static>, ErrorReply> {
    match sent {
        Sent::Reply(reply) => Ok(reply),
        // The node of a client says the second of a request for that client alone.
        Sent::Error(error) | Sent::ConnectionLost(error) => Err(error),
        Sent::Nobody | Sent::UnknownClient => Err(no_responder(topic)),
        Sent::Left => Err(ErrorReply::new(LINK_DOWN, "this node has left the domain")),
        Sent::LinkDown => Err(ErrorReply::new(
            LINK_DOWN,
            format!("no connection to the NATS server: `{topic}` may not have arrived"),
        )),
        Sent::Lost { silence } => Err(ErrorReply::new(
            LOST,
            format!("the node that has `{topic}` gave no sign of life for {silence:?}"),
        )),
        Sent::TooLarge { len, limit } => Err(ErrorReply::new(
            ErrorReply::FAILED,
            format!(
                "`{topic}`: its {len} bytes are over the {limit} that the NATS server's `max_payload` leaves for a message"
            ),
        )),
        Sent::TooMany { limit } => Err(ErrorReply::new(
            ErrorReply::TOO_MANY_REQUESTS,
            format!("{limit} requests to other nodes are pending, the most that `max_requests` allows"),
        )),
        Sent::Undecodable(reason) => {
            Err(ErrorReply::new(ErrorReply::FAILED, format!("the reply to `{topic}` is not JSON: {reason}")))
        }
    }
}
