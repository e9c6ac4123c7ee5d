//! Requests to other nodes and to their clients.

use std::time::Duration;

use async_nats::Message;

use super::headers::{self, ErrorFrom};
use super::pending::NoReply;
use super::shared::Shared;
use crate::error::error_reply::ErrorReply;
use crate::wire::raw_message::RawMessage;

/// What became of a request.
pub(super) enum Sent {
    Reply(RawMessage<'static>),
    Error(ErrorReply),
    /// The client that it is for is not connected.
    UnknownClient,
    /// The connection to that client was lost before the reply came. The code says why.
    ConnectionLost(ErrorReply),
    /// Nobody subscribes to its subject.
    Nobody,
    Left,
    LinkDown,
    Lost {
        silence: Duration,
    },
    TooLarge {
        len: usize,
        limit: usize,
    },
    TooMany {
        limit: usize,
    },
    Undecodable(String),
}

impl Shared {
    /// Sends a request of a client of this node, or of this server itself (0), and waits for what becomes of it.
    /// If it is dropped before, it cancels the request: the responder decides whether it acts on that.
    pub(super) async fn request(&self, subject: String, client: u64, payload: Vec<u8>) -> Sent {
        self.send(subject, client, payload, None).await
    }

    /// Sends a message that is to be acknowledged.
    pub(super) async fn send_message(&self, subject: String, payload: Vec<u8>) -> Sent {
        self.send(subject, 0, payload, Some(headers::message())).await
    }

    async fn send(
        &self,
        subject: String,
        client: u64,
        payload: Vec<u8>,
        headers: Option<async_nats::HeaderMap>,
    ) -> Sent {
        if self.is_leaving() {
            return Sent::Left;
        }
        let (len, limit) = (payload.len(), self.max_payload());
        if len > limit {
            return Sent::TooLarge { len, limit };
        }
        if !self.link.is_up() {
            return Sent::LinkDown;
        }
        let request = match self.pending.begin() {
            Ok(request) => request,
            Err(limit) => return Sent::TooMany { limit },
        };
        let reply = self.subjects.reply(client, request.number);
        let publish = async {
            match headers {
                None => self.nats.publish_with_reply(subject, reply, payload.into()).await,
                Some(headers) => {
                    self.nats.publish_with_reply_and_headers(subject, reply, headers, payload.into()).await
                }
            }
        };
        match self.link.while_up(publish).await {
            None => return Sent::LinkDown,
            Some(Err(error)) => {
                tracing::warn!(%error, "could not publish to NATS");
                return Sent::LinkDown;
            }
            Some(Ok(())) => {}
        }
        match request.outcome().await {
            Err(NoReply::LinkDown) => Sent::LinkDown,
            Err(NoReply::Lost) => Sent::Lost { silence: self.silence },
            Ok(message) => read(&message),
        }
    }
}

fn read(message: &Message) -> Sent {
    if headers::is_nobody(message) {
        return Sent::Nobody;
    }
    if let Some(from) = headers::error_from(message) {
        let error = serde_json::from_slice(&message.payload).unwrap_or_else(|_| {
            ErrorReply::new(ErrorReply::FAILED, String::from_utf8_lossy(&message.payload))
        });
        return match from {
            ErrorFrom::Responder => Sent::Error(error),
            ErrorFrom::UnknownClient => Sent::UnknownClient,
            ErrorFrom::ConnectionLost => Sent::ConnectionLost(error),
        };
    }
    match serde_json::from_slice(&message.payload) {
        Ok(reply) => Sent::Reply(reply),
        Err(error) => Sent::Undecodable(error.to_string()),
    }
}
