//! Broadcasts to the members of a group.

use serde::Serialize;

use super::handle::ClientGroup;
use crate::client_id::ClientId;
use crate::error::SendError;
use crate::server::latest::Delivery;
use crate::topic::direction::ToClient;
use crate::topic::{Topic, TopicName};

/// # Sending
///
/// What [`ServerHandle`](crate::ServerHandle) does for all clients, for the members at the moment of the call. A message
/// is encoded once, however many members there are.
impl<P> ClientGroup<P> {
    /// Queues a message for every member and returns how many members that are. Encodes once, never waits. A member
    /// whose outbox has no room is disconnected as a slow consumer, as by
    /// [`ServerHandle::broadcast`](crate::ServerHandle::broadcast).
    ///
    /// # Errors
    ///
    /// The errors of [`ServerHandle::broadcast`](crate::ServerHandle::broadcast). No member gets the message then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{SendError, Server, Topic};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "news"]
    /// struct News { text: String }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// let reached = server.group("room 5").broadcast(&News { text: "too early".into() })?;
    /// assert_eq!(reached, 0);
    /// # Ok::<(), SendError>(())
    /// ```
    pub fn broadcast<T>(&self, message: &T) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.server.state.broadcast(self.recipients().clients(), TopicName::OfType(T::NAME), message, None)
    }

    /// [`broadcast`](Self::broadcast) to every member but one. The client need not be a member.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_except<T>(&self, message: &T, client_id: ClientId) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        let (to, topic) = (self.recipients(), TopicName::OfType(T::NAME));
        self.server.state.broadcast(to.clients(), topic, message, Some(client_id))
    }

    /// [`broadcast`](Self::broadcast), once little is queued for every member, as
    /// [`ServerHandle::broadcast_async`](crate::ServerHandle::broadcast_async) waits for every client. It reaches the
    /// members at the moment at which it has waited.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, no member gets the message.
    pub async fn broadcast_async<T>(&self, message: &T) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        let topic = TopicName::OfType(T::NAME);
        self.server.state.broadcast_async(|| self.recipients(), topic, message, None).await
    }

    /// Queues a message of which only the latest matters for every member, as
    /// [`ServerHandle::broadcast_latest`](crate::ServerHandle::broadcast_latest) does for every client.
    ///
    /// A client keeps one such message a topic, in whichever of its groups it was broadcast. Groups that are to be
    /// separate in this have topics of their own.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_latest<T>(&self, message: &T) -> Result<Delivery, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        let topic = TopicName::OfType(T::NAME);
        self.server.state.broadcast_latest(self.recipients().clients(), topic, message)
    }

    /// Queues any value for every member under a topic known only at run time; an empty one becomes `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_raw<M: Serialize + ?Sized>(&self, topic: &str, message: &M) -> Result<usize, SendError> {
        self.server.state.broadcast(self.recipients().clients(), TopicName::AtRunTime(topic), message, None)
    }

    /// Queues any value for every member as [`broadcast_raw`](Self::broadcast_raw) does, once little is queued for every
    /// member, as [`broadcast_async`](Self::broadcast_async) does.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, no member gets the message.
    pub async fn broadcast_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<usize, SendError> {
        let topic = TopicName::AtRunTime(topic);
        self.server.state.broadcast_async(|| self.recipients(), topic, message, None).await
    }

    /// Queues any value of which only the latest matters for every member under a topic known only at run time, as
    /// [`broadcast_latest`](Self::broadcast_latest) does.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_latest_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<Delivery, SendError> {
        self.server.state.broadcast_latest(self.recipients().clients(), TopicName::AtRunTime(topic), message)
    }
}
