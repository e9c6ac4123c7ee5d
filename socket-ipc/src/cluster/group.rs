//! Broadcasts to the members of a group, wherever they are connected.

use std::fmt;

use serde::Serialize;

use super::Cluster;
use super::error::BroadcastError;
use crate::client_id::ClientId;
use crate::server::ClientGroup;
use crate::topic::direction::{AnyTopic, ToClient};
use crate::topic::{Topic, TopicName};
use crate::wire::topic_or_none;

/// A group of clients of all nodes, by its name: the groups of that name of each server together. What
/// [`Cluster::group`] returns.
///
/// A client joins and leaves the [group of its own server](crate::ServerHandle::group). A node is subscribed to what other
/// nodes broadcast to a group while the group has members on it, and receives nothing of the other groups. So the first
/// member of a node gets what other nodes broadcast a moment after it has joined: [`subscribed`](Self::subscribed) waits
/// for that. What this node itself broadcasts reaches it from its join on.
///
/// Cheap to clone. [The book](crate::guide::cluster) has what is promised.
pub struct ClusterGroup<P = AnyTopic> {
    cluster: Cluster<P>,
    /// The group of this server.
    local: ClientGroup<P>,
}

impl<P> Cluster<P> {
    /// Returns the group of this name: its members are those of the groups of this name of all nodes.
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Topic, cluster::BroadcastError, cluster::Cluster};
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic = "news"] struct News { text: String }
    /// # fn example(cluster: &Cluster) -> Result<(), BroadcastError> {
    /// cluster.group("room 5").broadcast(&News { text: "to its members on every machine".into() })?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn group(&self, name: impl AsRef<str>) -> ClusterGroup<P> {
        ClusterGroup { cluster: self.clone(), local: self.server.group(name) }
    }
}

impl<P> ClusterGroup<P> {
    /// Returns the name of the group. One that is over [`limits::GROUP_NAME_LEN`](crate::limits::GROUP_NAME_LEN) is cut
    /// there: it is the name of no group, and nobody is its member.
    #[must_use]
    pub fn name(&self) -> &str {
        self.local.name()
    }

    /// Waits until this node receives what other nodes broadcast to the group, and returns `true`. Returns `false` where no
    /// client of this node is a member, where the NATS server refuses the subscription
    /// ([`ClusterEvent::Error`](super::ClusterEvent::Error) says so), and where this node has left the domain.
    ///
    /// While there is no connection to the NATS server it waits for one.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time: it only waits.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use socket_ipc::{ClientId, GroupError, cluster::Cluster};
    /// # async fn example(cluster: &Cluster, server: &socket_ipc::Server, client_id: ClientId) -> Result<(), GroupError> {
    /// server.group("room 5").join(client_id)?;
    /// if cluster.group("room 5").subscribed().await {
    ///     println!("from now on the client gets what any node broadcasts to the room");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn subscribed(&self) -> bool {
        let Some(name) = self.local.valid_name() else { return false };
        self.cluster.shared.groups.subscribed(name, || !self.local.is_empty()).await
    }
}

/// # Broadcasting
impl<P> ClusterGroup<P> {
    /// Queues a message for every member on every node. Encodes once, never waits. Returns how many members on this node
    /// that are.
    ///
    /// The members on this node get it without NATS, as by [`ClientGroup::broadcast`](crate::ClientGroup::broadcast). A
    /// member on another node gets the messages of this one to the group in order, and none twice. What is lost on the way
    /// is counted there: [`ClusterEvent::GroupLagged`](super::ClusterEvent::GroupLagged).
    ///
    /// ```compile_fail
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Protocol, Topic, cluster::Cluster};
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic = "news"] struct News;
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic = "say"] struct Say;
    /// # #[derive(Protocol)] #[protocol(to_server(Say), to_client(News))] struct Chat;
    /// fn use_it(cluster: &Cluster<Chat>) {
    ///     let _ = cluster.group("room 5").broadcast(&Say); // to the server
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`BroadcastError`]. `Local` and `TooLarge` say that nobody gets it; the others, that the members on this node alone
    /// do.
    pub fn broadcast<T>(&self, message: &T) -> Result<usize, BroadcastError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.send(TopicName::OfType(T::NAME), message, None)
    }

    /// [`broadcast`](Self::broadcast) to every member but one client of this node. The client need not be a member.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_except<T>(&self, message: &T, client_id: ClientId) -> Result<usize, BroadcastError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.send(TopicName::OfType(T::NAME), message, Some(client_id))
    }

    /// [`broadcast`](Self::broadcast), once little is queued for every member on this node, and once there is room for what
    /// waits for the NATS server. It does not wait for other nodes.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `QueueFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, either no member gets the message, or the members on this node alone.
    pub async fn broadcast_async<T>(&self, message: &T) -> Result<usize, BroadcastError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.send_async(TopicName::OfType(T::NAME), message).await
    }

    /// Queues any value for every member on every node under a topic known only at run time; an empty one becomes `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<usize, BroadcastError> {
        self.send(TopicName::AtRunTime(topic_or_none(topic)), message, None)
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
        self.send_async(TopicName::AtRunTime(topic_or_none(topic)), message).await
    }

    fn send<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
        except: Option<ClientId>,
    ) -> Result<usize, BroadcastError> {
        let shared = &self.cluster.shared;
        let line = shared.line(topic, message)?;
        let local = self.local.broadcast_line(topic, &line.local, except)?;
        // A name that is over the limit has no members anywhere.
        if let Some(name) = self.local.valid_name() {
            shared.queue(Some(name), topic.as_str(), &line, local)?;
        }
        Ok(local)
    }

    async fn send_async<M: Serialize + ?Sized>(
        &self,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<usize, BroadcastError> {
        let shared = &self.cluster.shared;
        let line = shared.line(topic, message)?;
        let local = self.local.broadcast_line_async(topic, &line.local).await?;
        match self.local.valid_name() {
            Some(name) => shared.queue_async(Some(name), topic.as_str(), &line, local).await,
            None => Ok(local),
        }
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for ClusterGroup<P> {
    fn clone(&self) -> Self {
        Self { cluster: self.cluster.clone(), local: self.local.clone() }
    }
}

impl<P> fmt::Debug for ClusterGroup<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterGroup").field("name", &self.name()).finish_non_exhaustive()
    }
}
