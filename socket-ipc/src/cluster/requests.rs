//! Requests to other nodes and to their clients.

use std::time::Duration;

use async_nats::Message;

use super::headers::{self, ErrorFrom};
use super::pending::{NoReply, PendingRequest};
use super::shared::Shared;
use crate::error::error_reply::ErrorReply;
use crate::wire::raw_message::RawMessage;

/// How long the NATS server may take to reply to a probe.
const UNANSWERED: Duration = Duration::from_millis(500);

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
    /// Of a stream: this many items or more did not arrive.
    ItemsLost {
        count: u64,
    },
    /// Of a stream: an item of this length came beyond the window.
    BeyondWindow {
        size: u64,
        window: u64,
    },
    /// The request was one of a stream, and there is a single reply.
    NotAStream,
}

impl Sent {
    pub(super) fn error(from: ErrorFrom, error: ErrorReply) -> Self {
        match from {
            ErrorFrom::Responder => Self::Error(error),
            ErrorFrom::UnknownClient => Self::UnknownClient,
            ErrorFrom::ConnectionLost => Self::ConnectionLost(error),
        }
    }
}

impl Shared {
    /// Sends a request of a client of this node, or of this server itself (0), and waits for what becomes of it.
    /// If it is dropped before, it cancels the request: the responder decides whether it acts on that.
    pub(super) async fn request(&self, subject: String, client: u64, payload: Vec<u8>) -> Sent {
        self.send(subject, client, payload, None, self.pending.begin()).await
    }

    /// Asks the NATS server itself, which replies to a request that nobody takes: then it has acted on what this node
    /// has sent before. `Lost` where it says nothing for a while: it stands still, or a program that is subscribed to
    /// the whole domain has taken the request.
    pub(super) async fn probe(&self) -> Sent {
        let payload = b"null".to_vec();
        let sent = self.send(self.subjects.nobody(), 0, payload, None, self.pending.begin_own());
        tokio::time::timeout(UNANSWERED, sent).await.unwrap_or(Sent::Lost { silence: UNANSWERED })
    }

    /// Sends a message that is to be acknowledged.
    pub(super) async fn send_message(&self, subject: String, payload: Vec<u8>) -> Sent {
        self.send(subject, 0, payload, Some(headers::message()), self.pending.begin()).await
    }

    async fn send(
        &self,
        subject: String,
        client: u64,
        payload: Vec<u8>,
        headers: Option<async_nats::HeaderMap>,
        request: Result<PendingRequest, usize>,
    ) -> Sent {
        if let Err(sent) = self.may_send(payload.len()) {
            return sent;
        }
        let request = match request {
            Ok(request) => request,
            Err(limit) => return Sent::TooMany { limit },
        };
        let reply = self.subjects.reply(client, request.number);
        let headers = headers::with_trace(headers);
        let publish = async {
            match headers {
                None => self.nats.publish_with_reply(subject, reply, payload.into()).await,
                Some(headers) => {
                    self.nats.publish_with_reply_and_headers(subject, reply, headers, payload.into()).await
                }
            }
        };
        if let Err(sent) = self.published(publish).await {
            return sent;
        }
        match request.outcome().await {
            Err(NoReply::LinkDown) => Sent::LinkDown,
            Err(NoReply::Lost) => Sent::Lost { silence: self.silence },
            Ok(message) => read(&message),
        }
    }

    /// Whether a request with a payload of this length can be sent. `Err` says why not.
    pub(super) fn may_send(&self, len: usize) -> Result<(), Sent> {
        let limit = self.max_payload();
        match () {
            () if self.is_leaving() => Err(Sent::Left),
            () if len > limit => Err(Sent::TooLarge { len, limit }),
            () if !self.link.is_up() => Err(Sent::LinkDown),
            () => Ok(()),
        }
    }

    /// Waits until a request is published. `Err` says that it is not.
    pub(super) async fn published(
        &self,
        publish: impl Future<Output = Result<(), async_nats::PublishError>>,
    ) -> Result<(), Sent> {
        match self.link.while_up(publish).await {
            None => Err(Sent::LinkDown),
            Some(Err(error)) => {
                tracing::warn!(%error, "could not publish to NATS");
                Err(Sent::LinkDown)
            }
            Some(Ok(())) => Ok(()),
        }
    }
}

pub(super) fn read(message: &Message) -> Sent {
    if let Some(error) = read_error(message) {
        return error;
    }
    match serde_json::from_slice(&message.payload) {
        Ok(reply) => Sent::Reply(reply),
        Err(error) => Sent::Undecodable(error.to_string()),
    }
}

/// The error that a message to an inbox is; `None` where it is none.
pub(super) fn read_error(message: &Message) -> Option<Sent> {
    if headers::is_nobody(message) {
        return Some(Sent::Nobody);
    }
    headers::error_reply(message).map(|(from, error)| Sent::error(from, error))
}
