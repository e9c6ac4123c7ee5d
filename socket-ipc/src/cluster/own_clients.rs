//! Messages and requests of other nodes to the clients of this one.

use std::sync::Arc;

use async_nats::{Message, Subject, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;

use super::headers::Kind;
use super::node::NodeId;
use super::shared::Shared;
use super::taken::Responder;
use crate::client_id::ClientId;
use crate::error::error_reply::ErrorReply;
use crate::error::{RequestError, SendError};
use crate::wire::raw_message::RawMessage;

/// The code of the error reply that names a client that is not connected.
pub(super) const UNKNOWN_CLIENT: &str = "unknown_client";

/// Takes what other nodes have for the clients of this one.
pub(super) async fn run(shared: &Arc<Shared>, mut messages: Subscriber) {
    while let Some(message) = messages.next().await {
        take(shared, message).await;
    }
}

async fn take(shared: &Arc<Shared>, message: Message) {
    let Some((client, topic)) = shared.subjects.read_client(&message.subject) else {
        return shared.hub.report_refused(&message.subject, "it names no client and topic");
    };
    let requester = match message.reply.as_deref().map(|reply| shared.check_reply(reply)).transpose() {
        Ok(requester) => requester.flatten(),
        Err(reason) => return shared.hub.report_refused(&message.subject, reason),
    };
    let (kind, reply) = (Kind::of(&message), message.reply.clone());
    let done = match (serde_json::from_slice::<&RawValue>(&message.payload), kind, &reply) {
        (Err(error), ..) => {
            Err(ErrorReply::new(ErrorReply::UNDECODABLE, format!("the payload is not JSON: {error}")))
        }
        (Ok(text), Kind::Message, _) => {
            let sent = shared.server.send_raw(&topic, text, ClientId::new(client));
            sent.map(|()| true).map_err(|error| send_error(&error))
        }
        (Ok(text), Kind::Request, Some(reply)) => {
            request(shared, &topic, text, ClientId::new(client), reply.clone(), requester);
            Ok(false)
        }
        _ => Err(ErrorReply::new(ErrorReply::FAILED, "neither a message nor a request with a reply subject")),
    };
    match (done, reply) {
        // The sender waits for this: the message is queued.
        (Ok(true), Some(reply)) => shared.reply(reply, b"null".to_vec()).await,
        (Ok(_), _) => {}
        (Err(error), Some(reply)) => shared.reply_error(reply, &error).await,
        (Err(error), None) => shared.hub.report_refused(&message.subject, error.text()),
    }
}

/// Requests a reply of a client, in a task of its own.
fn request(
    shared: &Arc<Shared>,
    topic: &str,
    text: &RawValue,
    client: ClientId,
    reply: Subject,
    requester: Option<NodeId>,
) {
    let number = shared.taken.number();
    let outcome = shared.server.request_raw(topic, text, client);
    let (replying, begun) = (Arc::clone(shared), tokio::sync::oneshot::channel::<()>());
    let (begin, may_begin) = begun;
    let task = shared.spawn(async move {
        // An error means that everything ends.
        let _ = may_begin.await;
        let outcome = outcome.await;
        // One that was cancelled is no longer in the table.
        let Some(reply) = replying.taken.finish(number) else { return };
        match outcome {
            Ok(message) => replying.reply(reply, message.as_str().as_bytes().to_vec()).await,
            Err(error) => replying.reply_error(reply, &request_error(error)).await,
        }
    });
    shared.taken.begin(number, reply, requester, Responder::Client(task));
    let _ = begin.send(());
}

fn send_error(error: &SendError) -> ErrorReply {
    let code = match error {
        SendError::UnknownClient { .. } => UNKNOWN_CLIENT,
        _ => ErrorReply::FAILED,
    };
    ErrorReply::new(code, error.to_string())
}

/// The error reply of a request that failed here, as the requester's node reads it.
fn request_error(error: RequestError<RawMessage<'static>>) -> ErrorReply {
    match error {
        RequestError::Send(error) => send_error(&error),
        RequestError::NoResponder { .. } => ErrorReply::new(ErrorReply::NO_RESPONDER, error.to_string()),
        RequestError::RequestUndecodable { text, .. } => ErrorReply::new(ErrorReply::UNDECODABLE, text),
        RequestError::ResponderPanicked { .. } => ErrorReply::new(ErrorReply::PANICKED, error.to_string()),
        RequestError::Failed { text, error, .. } => {
            ErrorReply::new(ErrorReply::FAILED, text).with_data(error)
        }
        RequestError::Rejected { reply, .. } => reply,
        error => ErrorReply::new(ErrorReply::FAILED, error.to_string()),
    }
}
