//! From a message to the outbox of the connection.

use serde::Serialize;

use super::state::{Phase, State};
use crate::connection::{Link, PushError, Read, ReplyFuture, encoded, queue_paced};
use crate::error::SendError;
use crate::topic::TopicName;
use crate::wire::{EnvelopeKind, Tail};

impl State {
    pub(super) fn send<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<(), SendError> {
        self.push(&self.linked(topic.as_str())?, &EnvelopeKind::Message, topic, message)
    }

    pub(super) async fn send_async<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<(), SendError> {
        let link = self.linked(topic.as_str())?;
        let queued = queue_paced(self, &link.outbox, topic, message).await?;
        if queued { Ok(()) } else { Err(self.not_connected(topic.as_str())) }
    }

    pub(super) fn request<M: Serialize + ?Sized, R>(
        &self,
        topic: TopicName<'_>,
        request: &M,
        read: Read<R>,
    ) -> ReplyFuture<R> {
        match self.linked(topic.as_str()) {
            Ok(link) => {
                let send = |kind: EnvelopeKind| self.push(&link, &kind, topic, request);
                ReplyFuture::ask(&link, &self.options.limits, topic.as_str(), send, read)
            }
            Err(error) => ReplyFuture::failed(error, read),
        }
    }

    fn push<M: Serialize + ?Sized>(
        &self,
        link: &Link,
        kind: &EnvelopeKind,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<(), SendError> {
        let outbox = &link.outbox;
        encoded(self, &Tail::of(kind), topic.as_str(), message, |bytes| {
            outbox.push(bytes).map_err(|error| match error {
                PushError::Ended => self.not_connected(topic.as_str()),
                PushError::Full { queued } => SendError::OutboxFull {
                    topic: topic.as_str().to_owned(),
                    client_id: None,
                    size: bytes.len(),
                    queued,
                    limit: outbox.limit(),
                },
                PushError::TotalFull => {
                    SendError::outbox_total_full(topic.as_str(), bytes.len(), outbox.total())
                }
            })?;
            self.metrics.sent(topic, 1, bytes.len());
            Ok(())
        })?
    }

    fn linked(&self, topic: &str) -> Result<Link, SendError> {
        self.link().ok_or_else(|| self.not_connected(topic))
    }

    fn not_connected(&self, topic: &str) -> SendError {
        let (topic, path) = (topic.to_owned(), self.options.path.clone());
        if self.phase() < Phase::Closing {
            SendError::NotConnected { topic, path }
        } else {
            SendError::Closed { topic, path }
        }
    }
}
