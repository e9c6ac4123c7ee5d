//! Messages and requests of other nodes to the clients of this one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subject, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;

use super::client_errors;
use super::client_streams;
use super::headers::{ErrorFrom, Kind};
use super::node::NodeId;
use super::shared::Shared;
use super::taken::{Requester, Responder};
use crate::client_id::ClientId;
use crate::error::error_reply::ErrorReply;

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
            let text = format!("the payload is not JSON: {error}");
            Err((ErrorFrom::Responder, ErrorReply::new(ErrorReply::UNDECODABLE, text)))
        }
        (Ok(text), Kind::Message, _) => {
            let sent = shared.server.send_raw(&topic, text, ClientId::new(client));
            sent.map(|()| true).map_err(|error| client_errors::of_send(&error))
        }
        (Ok(text), Kind::Request, Some(reply)) => {
            in_span(shared, &topic, &message, || {
                request(shared, &topic, text, ClientId::new(client), reply.clone(), requester);
            });
            Ok(false)
        }
        (Ok(text), Kind::Stream, Some(reply)) => match shared.window_of(&message) {
            Ok(window) => {
                let from = shared.requester(reply.clone(), requester);
                in_span(shared, &topic, &message, || {
                    client_streams::begin(shared, &topic, text, ClientId::new(client), from, window);
                });
                Ok(false)
            }
            Err(error) => Err((ErrorFrom::Responder, error)),
        },
        _ => {
            let text = "neither a message nor a request with a reply subject";
            Err((ErrorFrom::Responder, ErrorReply::new(ErrorReply::FAILED, text)))
        }
    };
    match (done, reply) {
        // The sender waits for this: the message is queued.
        (Ok(true), Some(reply)) => shared.reply(reply, b"null".to_vec()).await,
        (Ok(_), _) => {}
        (Err((from, error)), Some(reply)) => shared.reply_error_from(from, reply, &error).await,
        (Err((_, error)), None) => shared.hub.report_refused(&message.subject, error.text()),
    }
}

/// Sends a request to a client, in a span that is linked to the one that the request was sent in.
fn in_span(shared: &Shared, topic: &str, message: &Message, send: impl FnOnce()) {
    #[cfg(feature = "otel")]
    if let Some(trace) = super::headers::trace(message).filter(|_| shared.server.limits().accepts_traces) {
        // The user of a program on another machine is not known here.
        let _dispatching = crate::trace::dispatching(Some(&trace), false);
        return crate::trace::of_request(tracing::debug_span!("request", topic)).in_scope(send);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (shared, topic, message);
    send();
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
    let mut outcome = shared.server.request_raw(topic, text, client);
    if shared.is_up(requester.as_ref()) {
        // Its deadline is the one that holds: it cancels the request then, or is found to be gone.
        outcome = outcome.timeout(Duration::MAX);
    }
    let (replying, begun) = (Arc::clone(shared), tokio::sync::oneshot::channel::<()>());
    let (begin, may_begin) = begun;
    let task = shared.spawn(async move {
        // An error means that everything ends.
        let _ = may_begin.await;
        let outcome = outcome.await;
        // One that was cancelled is no longer in the table.
        let Some(reply) = replying.taken.finish(number) else { return };
        match outcome {
            Ok(message) => replying.reply(reply.subject, message.as_str().as_bytes().to_vec()).await,
            Err(error) => {
                let (from, error) = client_errors::of_request(error);
                replying.end_with_from(from, reply, &error).await;
            }
        }
    });
    let from = Requester { reply, node: requester, until: None };
    shared.taken.begin(number, from, Responder::Client(task), None);
    let _ = begin.send(());
}
