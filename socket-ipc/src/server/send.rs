//! Sending to one client, and to all of them.

use serde::Serialize;

use super::handle::ServerHandle;
use crate::client_id::ClientId;
use crate::endpoint::send;
use crate::error::SendError;
use crate::topic::direction::ToClient;
use crate::topic::{Topic, TopicName};

/// # Sending
impl<P> ServerHandle<P> {
    /// Queues a message for one client. Never waits; may be called from any thread, with or without a
    /// runtime.
    ///
    /// `Ok` means queued: the message arrives, or the connection ends and its reason says how much was lost.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `UnknownClient`, `Closed`, `TooLarge`, `TopicTooLong`, `Encode`, `EncodePanicked`, `OutboxFull`,
    /// or `OutboxTotalFull`, after which the connection lives. Nothing is queued then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{ClientId, SendError, ServerHandle, Topic};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "greeting"]
    /// struct Greeting { text: String }
    ///
    /// fn greet(server: &ServerHandle, client_id: ClientId) -> Result<(), SendError> {
    ///     server.send(&Greeting { text: "Hello!".into() }, client_id)
    /// }
    /// ```
    pub fn send<T>(&self, message: &T, client_id: ClientId) -> Result<(), SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        send::send(&*self.state, TopicName::OfType(T::NAME), message, client_id)
    }

    /// Queues a message for one client once little is queued for it: while its outbox holds more than
    /// [`limits::OUTBOX_HIGH_WATER`](crate::limits::OUTBOX_HIGH_WATER) (64 KiB), or has no room, it waits.
    ///
    /// If both peers wait in listeners until the other one reads, neither of them reads: the connection then ends after
    /// `write_stall`.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send) except `OutboxFull` and `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, nothing was queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Server, Topic};
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic = "count to"] struct CountTo(u64);
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic = "number"] struct Number(u64);
    /// # let server = Server::new("/tmp/myApp.sock");
    /// let reply = server.handle();
    /// server.on_async::<CountTo>(move |CountTo(last), client_id| {
    ///     let reply = reply.clone();
    ///     async move {
    ///         for number in 1..=last {
    ///             if let Err(error) = reply.send_async(&Number(number), client_id).await {
    ///                 return eprintln!("{error}");
    ///             }
    ///         }
    ///     }
    /// });
    /// ```
    pub async fn send_async<T>(&self, message: &T, client_id: ClientId) -> Result<(), SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        send::send_async(&*self.state, TopicName::OfType(T::NAME), message, client_id).await
    }

    /// Queues any value for one client under a topic known only at run time; an empty one becomes `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # let server = socket_ipc::Server::new("/tmp/myApp.sock");
    /// let reply = server.handle();
    /// server.on_topic("ping", move |message, client_id| {
    ///     if let Err(error) = reply.send_raw("pong", &message, client_id) {
    ///         eprintln!("{error}");
    ///     }
    /// });
    /// ```
    pub fn send_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
        client_id: ClientId,
    ) -> Result<(), SendError> {
        send::send(&*self.state, TopicName::AtRunTime(topic), message, client_id)
    }

    /// Queues any value as [`send_raw`](Self::send_raw) does, once little is queued, as
    /// [`send_async`](Self::send_async) does.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send) except `OutboxFull` and `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, nothing was queued.
    pub async fn send_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
        client_id: ClientId,
    ) -> Result<(), SendError> {
        send::send_async(&*self.state, TopicName::AtRunTime(topic), message, client_id).await
    }

    /// Queues a message for every client and returns how many clients that are. Encodes once, never waits.
    ///
    /// A client whose outbox has no room is disconnected as a slow consumer. The outbox of a client that keeps up is
    /// never full for long; a program that sends faster than a client can read uses
    /// [`broadcast_async`](Self::broadcast_async). Where all outboxes together have no room, no single client is at
    /// fault: the call returns an error.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `Closed`, `TooLarge`, `TopicTooLong`, `Encode`, `EncodePanicked`, `OutboxTotalFull`. No client
    /// gets the message then.
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
    /// let reached = server.broadcast(&News { text: "too early".into() })?;
    /// assert_eq!(reached, 0);
    /// # Ok::<(), SendError>(())
    /// ```
    pub fn broadcast<T>(&self, message: &T) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.state.broadcast(self.state.clients.recipients(), TopicName::OfType(T::NAME), message, None)
    }

    /// [`broadcast`](Self::broadcast) to every client but one.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_except<T>(&self, message: &T, client_id: ClientId) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.state.broadcast(
            self.state.clients.recipients(),
            TopicName::OfType(T::NAME),
            message,
            Some(client_id),
        )
    }

    /// [`broadcast`](Self::broadcast), once little is queued for every client.
    ///
    /// It waits for the slowest client, but for each client no longer than `write_stall` in total, also for one that
    /// reads a little at a time. A client earns the time back by what it takes: all of it by as many bytes as
    /// `outbox_len`, 8 MiB for 10 s unless set. A broadcast does not wait for a client that has used its time up, until
    /// less than 64 KiB are queued for it. What is broadcast meanwhile is queued for it as
    /// [`broadcast`](Self::broadcast) does, which ends its connection where the outbox is full.
    ///
    /// Where all outboxes together are full (`outbox_total_len`), it waits for room.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, no client gets the message.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{SendError, ServerHandle, Topic};
    /// # use std::borrow::Cow;
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "line"]
    /// struct Line<'m> { #[serde(borrow)] text: Cow<'m, str> }
    ///
    /// async fn recite(server: ServerHandle, poem: &str) -> Result<(), SendError> {
    ///     for text in poem.lines() {
    ///         server.broadcast_async(&Line { text: text.into() }).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn broadcast_async<T>(&self, message: &T) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.state
            .broadcast_async(|| self.state.clients.recipients(), TopicName::OfType(T::NAME), message, None)
            .await
    }

    /// Queues any value for every client under a topic known only at run time; an empty one becomes `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_raw<M: Serialize + ?Sized>(&self, topic: &str, message: &M) -> Result<usize, SendError> {
        self.state.broadcast(self.state.clients.recipients(), TopicName::AtRunTime(topic), message, None)
    }

    /// Queues any value for every client as [`broadcast_raw`](Self::broadcast_raw) does, once little is queued for
    /// every client, as [`broadcast_async`](Self::broadcast_async) does.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast) except `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, no client gets the message.
    pub async fn broadcast_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<usize, SendError> {
        self.state
            .broadcast_async(|| self.state.clients.recipients(), TopicName::AtRunTime(topic), message, None)
            .await
    }
}
