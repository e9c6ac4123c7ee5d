//! A request to any node that offers its topic.

use std::fmt;
use std::time::Duration;

use async_nats::{Message, Subject, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::super::headers;
use super::super::requests::{self, Sent};
use super::{FIRST_SIGN, VisitError, Visitor};
use crate::error::RequestError;
use crate::wire::raw_message::RawMessage;

/// A request that was sent.
pub struct VisitRequest<'v> {
    visitor: &'v Visitor,
    topic: String,
    inbox: Subscriber,
    timeout: Duration,
    last_sign: Instant,
    /// Where the node that has the request takes a cancel; known from its first sign on.
    control: Option<Subject>,
}

impl Visitor {
    /// Sends a request.
    pub async fn request(
        &self,
        topic: &str,
        message: &RawValue,
        timeout: Duration,
    ) -> Result<VisitRequest<'_>, VisitError> {
        self.check_len(topic, message.get().len())?;
        let inbox = self.subscribe(self.subjects.own_inbox()).await?;
        let (subject, reply) = (self.subjects.requests(topic), self.subjects.reply(0, 1));
        let payload = message.get().to_owned().into();
        let published = self.nats.publish_with_reply(subject, reply, payload).await;
        published.map_err(|_| VisitError::LinkDown)?;
        let (topic, last_sign) = (topic.to_owned(), Instant::now());
        Ok(VisitRequest { visitor: self, topic, inbox, timeout, last_sign, control: None })
    }
}

impl VisitRequest<'_> {
    /// Waits for the reply. A request that is not replied to in time is cancelled.
    pub async fn outcome(&mut self) -> Result<RawMessage<'static>, VisitError> {
        let visitor = self.visitor;
        let overdue = tokio::time::sleep(self.timeout);
        let mut overdue = std::pin::pin!(overdue);
        loop {
            let lost = tokio::time::sleep_until(self.last_sign + visitor.silence);
            let error = tokio::select! {
                biased;
                message = self.next() => match message {
                    Some(message) => return self.read(&message),
                    None => return Err(VisitError::LinkDown),
                },
                error = visitor.trouble() => return Err(error),
                () = &mut overdue => {
                    let (topic, timeout) = (self.topic.clone(), self.timeout);
                    VisitError::Request(RequestError::Timeout { topic, timeout })
                }
                () = lost => {
                    if self.last_sign.elapsed() < visitor.silence {
                        continue;
                    }
                    VisitError::Lost { topic: self.topic.clone(), silence: visitor.silence }
                }
            };
            self.say_cancel().await;
            return Err(error);
        }
    }

    /// The next message that is no sign of life.
    async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.inbox.next().await?;
            if !headers::is_working(&message) {
                return Some(message);
            }
            self.last_sign = Instant::now();
            let control = message.reply.filter(|control| self.visitor.subjects.is_control(control));
            self.control = control.or(self.control.take());
            // Gives the caller the chance to begin the silence anew.
            tokio::task::yield_now().await;
        }
    }

    fn read(&self, message: &Message) -> Result<RawMessage<'static>, VisitError> {
        match requests::read(message) {
            Sent::Reply(reply) => Ok(reply),
            other => Err(self.visitor.refused(&self.topic, other)),
        }
    }

    /// Tells the node that has the request that nobody waits for the reply any more.
    pub async fn cancel(&mut self) {
        if self.control.is_none() {
            // The reply may come before the sign.
            let _ = timeout(FIRST_SIGN, async {
                while self.control.is_none() && self.next_or_sign().await.is_some() {}
            })
            .await;
        }
        self.say_cancel().await;
    }

    /// Waits for a sign; `None` if there will be none.
    async fn next_or_sign(&mut self) -> Option<()> {
        let message = self.inbox.next().await?;
        if headers::is_working(&message) {
            self.control = message.reply.filter(|control| self.visitor.subjects.is_control(control));
            return Some(());
        }
        None
    }

    async fn say_cancel(&mut self) {
        if let Some(control) = self.control.take() {
            super::cancel(&self.visitor.nats, control).await;
        }
    }
}

impl fmt::Debug for VisitRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisitRequest").field("topic", &self.topic).finish_non_exhaustive()
    }
}
