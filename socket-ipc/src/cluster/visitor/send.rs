//! Messages to the listeners of a node that offers their topic, one after the other.

use std::fmt;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;

use super::super::headers;
use super::super::requests::{self, Sent};
use super::super::subject::Inbox;
use super::{VisitError, Visitor};
use crate::error::error_reply::ErrorReply;

/// How long to wait before a message is sent again to a node that has no room for it.
const PAUSE: Duration = Duration::from_millis(20);

/// Messages of one topic that are being sent.
pub struct Sending<'v> {
    visitor: &'v Visitor,
    topic: String,
    inbox: Subscriber,
    number: u64,
}

impl Visitor {
    /// Begins to send messages of a topic.
    pub async fn sending(&self, topic: &str) -> Result<Sending<'_>, VisitError> {
        let inbox = self.subscribe(self.subjects.own_inbox()).await?;
        Ok(Sending { visitor: self, topic: topic.to_owned(), inbox, number: 0 })
    }
}

impl Sending<'_> {
    /// Sends a message, and waits until a node has taken it. A node that has no room for it is waited for.
    pub async fn send(&mut self, message: &RawValue) -> Result<(), VisitError> {
        self.visitor.check_len(&self.topic, message.get().len())?;
        loop {
            match requests::read(&self.attempt(message).await?) {
                Sent::Reply(_) => return Ok(()),
                Sent::Error(error) if error.code() == ErrorReply::TOO_MANY_REQUESTS => {
                    tokio::time::sleep(PAUSE).await;
                }
                refused @ (Sent::Error(_) | Sent::Nobody) => {
                    return Err(self.visitor.refused(&self.topic, refused));
                }
                _ => return Err(self.not_acknowledged()),
            }
        }
    }

    /// Sends a message once, and returns what comes back.
    async fn attempt(&mut self, message: &RawValue) -> Result<Message, VisitError> {
        let Visitor { nats, subjects, silence, .. } = self.visitor;
        self.number += 1;
        let publish = nats.publish_with_reply_and_headers(
            subjects.requests(&self.topic),
            subjects.reply(0, self.number),
            headers::message(),
            message.get().to_owned().into(),
        );
        let acknowledged = async {
            publish.await.map_err(|_| VisitError::LinkDown)?;
            loop {
                let message = self.inbox.next().await.ok_or(VisitError::LinkDown)?;
                // Anything else is late, and of an earlier one.
                if subjects.read_inbox(&message.subject) == Some(Inbox::Reply(self.number)) {
                    return Ok(message);
                }
            }
        };
        tokio::select! {
            biased;
            message = acknowledged => message,
            error = self.visitor.trouble() => Err(error),
            () = tokio::time::sleep(*silence) => Err(self.not_acknowledged()),
        }
    }

    fn not_acknowledged(&self) -> VisitError {
        VisitError::NotAcknowledged { topic: self.topic.clone(), silence: self.visitor.silence }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("topic", &self.topic).finish_non_exhaustive()
    }
}
