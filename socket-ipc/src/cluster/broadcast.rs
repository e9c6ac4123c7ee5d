//! Broadcasts to the clients of all nodes.

use std::sync::Arc;

use serde::Serialize;

use super::Cluster;
use super::error::BroadcastError;
use super::line::Line;
use super::shared::Shared;
use crate::client_id::ClientId;
use crate::topic::direction::ToClient;
use crate::topic::{Topic, TopicName};
use crate::wire::topic_or_none;

/// # Broadcasting
impl<P> Cluster<P> {
    /// Queues a message for every client of every node. Encodes once, never waits. Returns how many clients of this node
    /// that are.
    ///
    /// The clients of this node get it without NATS, as by [`ServerHandle::broadcast`](crate::ServerHandle::broadcast).
    /// The clients of another node get the broadcasts of this one in order, and none twice. What is lost on the way is
    /// counted there: [`ClusterEvent::Lagged`](super::ClusterEvent::Lagged).
    ///
    /// # Errors
    ///
    /// [`BroadcastError`]. `Local` and `TooLarge` say that nobody gets it; the others, that the clients of this node
    /// alone do.
    pub fn broadcast<T>(&self, message: &T) -> Result<usize, BroadcastError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.shared.broadcast(TopicName::OfType(T::NAME), message, None)
    }

    /// [`broadcast`](Self::broadcast) to every client but one of this node.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_except<T>(&self, message: &T, client_id: ClientId) -> Result<usize, BroadcastError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.shared.broadcast(TopicName::OfType(T::NAME), message, Some(client_id))
    }

    /// [`broadcast`](Self::broadcast), once little is queued for every client of this node, and once there is room for
    /// what waits for the NATS server. It does not wait for other nodes.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `QueueFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, either no client gets the message, or the clients of this node alone.
    pub async fn broadcast_async<T>(&self, message: &T) -> Result<usize, BroadcastError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.shared.broadcast_async(TopicName::OfType(T::NAME), message).await
    }

    /// Queues any value for every client of every node under a topic known only at run time; an empty one becomes
    /// `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<usize, BroadcastError> {
        self.shared.broadcast(TopicName::AtRunTime(topic_or_none(topic)), message, None)
    }

    /// Queues any value as [`broadcast_raw`](Self::broadcast_raw) does, once there is room, as
    /// [`broadcast_async`](Self::broadcast_async) does.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `QueueFull`.
    ///
    /// # Cancel safety
    ///
    /// As for [`broadcast_async`](Self::broadcast_async).
    pub async fn broadcast_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<usize, BroadcastError> {
        self.shared.broadcast_async(TopicName::AtRunTime(topic_or_none(topic)), message).await
    }
}

impl Shared {
    fn broadcast<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
        except: Option<ClientId>,
    ) -> Result<usize, BroadcastError> {
        let line = self.line(topic, message)?;
        let local = self.server.broadcast_line(topic, &line.local, except)?;
        self.queue(None, topic.as_str(), &line, local)?;
        Ok(local)
    }

    async fn broadcast_async<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<usize, BroadcastError> {
        let line = self.line(topic, message)?;
        let local = self.server.broadcast_line_async(topic, &line.local).await?;
        self.queue_async(None, topic.as_str(), &line, local).await
    }

    /// Encodes a broadcast, if it is not too long for NATS.
    pub(super) fn line<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<Line, BroadcastError> {
        let line = Line::of(&self.server, topic.as_str(), message)?;
        let (len, limit) = (line.of_nodes().len(), self.nats.max_payload());
        if len > limit {
            return Err(BroadcastError::TooLarge { topic: topic.as_str().to_owned(), len, limit });
        }
        Ok(line)
    }

    /// Queues a broadcast for the other nodes, once it has room. Returns how many clients of this node have it.
    pub(super) async fn queue_async(
        &self,
        group: Option<&Arc<str>>,
        topic: &str,
        line: &Line,
        local: usize,
    ) -> Result<usize, BroadcastError> {
        loop {
            match self.queue(group, topic, line, local) {
                Err(BroadcastError::QueueFull { .. }) => {
                    self.outgoing.wait_for_room(line.of_nodes().len()).await;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(local),
            }
        }
    }

    /// Queues a broadcast for the other nodes: to a group, or to all clients.
    pub(super) fn queue(
        &self,
        group: Option<&Arc<str>>,
        topic: &str,
        line: &Line,
        local: usize,
    ) -> Result<(), BroadcastError> {
        let topic_name = || topic.to_owned();
        if self.is_leaving() {
            return Err(BroadcastError::Left { topic: topic_name(), local });
        }
        if !self.link.is_up() {
            return Err(BroadcastError::LinkDown { topic: topic_name(), local });
        }
        self.outgoing.push(group, topic, line.of_nodes(), self.nats.max_payload()).map_err(|full| {
            let (queued, limit) = (full.queued, full.limit);
            BroadcastError::QueueFull { topic: topic_name(), local, queued, limit }
        })
    }
}
