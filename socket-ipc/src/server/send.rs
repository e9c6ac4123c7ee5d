//! From a message to the outboxes of those it is for.

use std::sync::Arc;

use serde::Serialize;

use super::state::{Member, Phase, State};
use crate::client_id::ClientId;
use crate::connection::{Answer, Ask, Broadcast, PushError, Read, encoded, queue_paced};
use crate::error::SendError;
use crate::events::CloseCause;
use crate::sync::read;
use crate::topic::TopicName;
use crate::wire::Kind;

impl State {
    pub(super) fn send<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
        id: ClientId,
    ) -> Result<(), SendError> {
        let member = self.known(topic.as_str(), id)?;
        self.push(&member, Kind::Message, topic, message, id)
    }

    pub(super) fn request<M: Serialize + ?Sized, R>(
        &self,
        topic: TopicName<'_>,
        question: &M,
        id: ClientId,
        read: Read<R>,
    ) -> Answer<R> {
        match self.known(topic.as_str(), id) {
            Ok(member) => {
                let send = |kind| self.push(&member, kind, topic, question, id);
                Answer::ask(&member.link, &self.options.limits, topic.as_str(), send, read)
            }
            Err(error) => Answer::failed(error, read),
        }
    }

    fn push<M: Serialize + ?Sized>(
        &self,
        member: &Member,
        kind: Kind,
        topic: TopicName<'_>,
        message: &M,
        id: ClientId,
    ) -> Result<(), SendError> {
        encoded(self, kind, topic.as_str(), message, |bytes| {
            let pushed = member.link.outbox.push(bytes);
            pushed.map_err(|error| self.refused(topic.as_str(), id, member, bytes.len(), error))?;
            self.figures.sent(topic, 1, bytes.len());
            Ok(())
        })?
    }

    pub(super) async fn send_async<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
        id: ClientId,
    ) -> Result<(), SendError> {
        let member = self.known(topic.as_str(), id)?;
        let queued = queue_paced(self, &member.link.outbox, topic, message).await?;
        if queued { Ok(()) } else { Err(self.unknown(topic.as_str(), id)) }
    }

    pub(super) fn broadcast<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        self.refuse_closed(topic.as_str())?;
        encoded(self, Kind::Message, topic.as_str(), message, |bytes| {
            self.push_to_all(topic, bytes, except, false)
        })
    }

    pub(super) async fn broadcast_async<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        self.refuse_closed(topic.as_str())?;
        let attempt = encoded(self, Kind::Message, topic.as_str(), message, |bytes| {
            match self.without_room(bytes.len(), except) {
                None => Ok(self.push_to_all(topic, bytes, except, true)),
                Some(member) => Err((bytes.to_vec(), member)),
            }
        })?;
        let (bytes, mut slow) = match attempt {
            Ok(reached) => return Ok(reached),
            Err(waiting) => waiting,
        };
        loop {
            // One that has ended holds nobody up.
            let _ = slow.link.outbox.wait_until(|outbox| outbox.has_room(bytes.len())).await;
            self.refuse_closed(topic.as_str())?;
            match self.without_room(bytes.len(), except) {
                // Without another wait in between, so that it goes to all of them or, dropped before, to
                // nobody. Whoever was faster just now may have filled an outbox again: that
                // is no reason to end a connection.
                None => return Ok(self.push_to_all(topic, &bytes, except, true)),
                Some(next) => slow = next,
            }
        }
    }

    fn push_to_all(
        &self,
        topic: TopicName<'_>,
        bytes: &[u8],
        except: Option<ClientId>,
        over_limit: bool,
    ) -> usize {
        let broadcast = Broadcast::new(bytes, &self.total, read(&self.clients).len());
        let mut reached = 0;
        self.for_each(|id, member| {
            if Some(id) == except {
                return;
            }
            match member.link.outbox.push_broadcast(&broadcast, over_limit) {
                Ok(()) => reached += 1,
                Err(PushError::Full { .. }) => member.link.outbox.ask(Ask::Cut(CloseCause::SlowClient)),
                Err(PushError::Ended) => {}
            }
        });
        self.figures.sent(topic, reached, bytes.len());
        reached
    }

    fn without_room(&self, len: usize, except: Option<ClientId>) -> Option<Arc<Member>> {
        let mut without = None;
        self.for_each(|id, member| {
            if without.is_none() && Some(id) != except && !member.link.outbox.has_room(len) {
                without = Some(Arc::clone(member));
            }
        });
        without
    }

    fn refuse_closed(&self, topic: &str) -> Result<(), SendError> {
        if self.phase() < Phase::Closing {
            return Ok(());
        }
        Err(SendError::Closed { topic: topic.to_owned(), path: self.options.path.clone() })
    }

    fn known(&self, topic: &str, id: ClientId) -> Result<Arc<Member>, SendError> {
        self.member(id).ok_or_else(|| self.unknown(topic, id))
    }

    fn unknown(&self, topic: &str, client_id: ClientId) -> SendError {
        match self.refuse_closed(topic) {
            Err(closed) => closed,
            Ok(()) => SendError::UnknownClient { topic: topic.to_owned(), client_id },
        }
    }

    fn refused(
        &self,
        topic: &str,
        id: ClientId,
        member: &Member,
        size: usize,
        error: PushError,
    ) -> SendError {
        match error {
            PushError::Ended => self.unknown(topic, id),
            PushError::Full { queued } => SendError::OutboxFull {
                topic: topic.to_owned(),
                client_id: Some(id),
                size,
                queued,
                limit: member.link.outbox.limit(),
            },
        }
    }
}
