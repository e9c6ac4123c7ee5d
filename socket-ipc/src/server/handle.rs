//! Sending, looking around and closing, from anywhere.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};

use super::state::State;
use crate::client_id::ClientId;
use crate::connection::{CloseCommand, Closing};
use crate::endpoint::{closing, send};
use crate::error::{Error, SendError};
use crate::events::CloseCause;
use crate::metrics::stats::Stats;
use crate::topic::direction::{AnyTopic, ToClient};
use crate::topic::{Topic, TopicName};
use crate::unix_socket::peer::Peer;

pub use super::listeners::AsyncListener;

/// A server's face to its listeners and to the rest of the program: attaches listeners, sends, looks around,
/// closes.
///
/// Cheap to clone. It keeps neither the server nor a listener alive, so a listener may own one. Once the
/// server is closed or dropped, sending is [`SendError::Closed`].
///
/// # Which send?
///
/// | call | a full outbox |
/// |---|---|
/// | [`send`](Self::send) | is an error; the connection lives |
/// | [`send_async`](Self::send_async) | is waited for: what paces a program that sends much |
/// | [`broadcast`](Self::broadcast) | ends that connection as slow |
/// | [`broadcast_async`](Self::broadcast_async) | is waited for, up to `write_stall` in all |
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "chat"]
/// struct Chat {
///     text: String,
/// }
///
/// let server = Server::new("/tmp/myApp.sock");
/// let others = server.handle();
/// server.on::<Chat>(move |msg, client_id| {
///     if let Err(error) = others.broadcast_except(&msg, client_id) {
///         eprintln!("{error}");
///     }
/// });
/// ```
pub struct ServerHandle<P = AnyTopic> {
    pub(super) state: Arc<State>,
    protocol: PhantomData<fn() -> P>,
}

impl<P> ServerHandle<P> {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, protocol: PhantomData }
    }

    /// Queues a message for one client. Never waits; may be called from any thread, with or without a
    /// runtime.
    ///
    /// `Ok` means queued: the message arrives, or the connection ends and its reason says how much was lost.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `UnknownClient`, `Closed`, `TooLarge`, `TopicTooLong`, `Encode`, `EncodePanicked`, `OutboxFull`, or
    /// `OutboxTotalFull`, after which the connection lives. Nothing is queued then.
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
    /// Two peers that both wait in listeners for the other to read stand still until `write_stall` ends the
    /// connection.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send) but `OutboxFull` and `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was queued.
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
    /// Those of [`send`](Self::send).
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
    /// Those of [`send`](Self::send) but `OutboxFull` and `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was queued.
    pub async fn send_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
        client_id: ClientId,
    ) -> Result<(), SendError> {
        send::send_async(&*self.state, TopicName::AtRunTime(topic), message, client_id).await
    }

    /// Queues a message for every client and returns how many that are. Encodes once, never waits.
    ///
    /// A client whose outbox has no room is disconnected as slow. That of a client that keeps up is never
    /// full for long; a program that sends faster than anybody could read uses
    /// [`broadcast_async`](Self::broadcast_async). That all outboxes together have no room is no client's fault alone, and
    /// an error.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `Closed`, `TooLarge`, `TopicTooLong`, `Encode`, `EncodePanicked`, `OutboxTotalFull`. Nobody gets the
    /// message then.
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
    /// let reached = server.broadcast(&News { text: "nobody is here yet".into() })?;
    /// assert_eq!(reached, 0);
    /// # Ok::<(), SendError>(())
    /// ```
    pub fn broadcast<T>(&self, message: &T) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.state.broadcast(TopicName::OfType(T::NAME), message, None)
    }

    /// [`broadcast`](Self::broadcast) to every client but one.
    ///
    /// # Errors
    ///
    /// Those of [`broadcast`](Self::broadcast).
    pub fn broadcast_except<T>(&self, message: &T, client_id: ClientId) -> Result<usize, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.state.broadcast(TopicName::OfType(T::NAME), message, Some(client_id))
    }

    /// [`broadcast`](Self::broadcast), once little is queued for every client.
    ///
    /// It waits for the slowest, but for one client no longer than `write_stall` in all, however that client
    /// trickles. A client earns the time back by what it takes: all of it by as many bytes as `outbox_len`, 8 MiB for
    /// 10 s unless set. One that has used its time up is not waited for until less than 64 KiB are queued for it. What is
    /// broadcast meanwhile is queued for it as [`broadcast`](Self::broadcast) does, which ends its connection where the
    /// outbox is full.
    ///
    /// Where all outboxes together are full (`outbox_total_len`), it waits for room.
    ///
    /// # Errors
    ///
    /// Those of [`broadcast`](Self::broadcast) but `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nobody gets the message.
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
        self.state.broadcast_async(TopicName::OfType(T::NAME), message, None).await
    }

    /// Queues any value for every client under a topic known only at run time; an empty one becomes `none`.
    ///
    /// # Errors
    ///
    /// Those of [`broadcast`](Self::broadcast).
    pub fn broadcast_raw<M: Serialize + ?Sized>(&self, topic: &str, message: &M) -> Result<usize, SendError> {
        self.state.broadcast(TopicName::AtRunTime(topic), message, None)
    }

    /// Queues any value for every client as [`broadcast_raw`](Self::broadcast_raw) does, once little is queued for every
    /// client, as [`broadcast_async`](Self::broadcast_async) does.
    ///
    /// # Errors
    ///
    /// Those of [`broadcast`](Self::broadcast) but `OutboxTotalFull`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nobody gets the message.
    pub async fn broadcast_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<usize, SendError> {
        self.state.broadcast_async(TopicName::AtRunTime(topic), message, None).await
    }

    /// Attends to a client that is connected by other means: anything that reads and writes asynchronously.
    ///
    /// The server need not listen on a path for it. With [`tokio::io::duplex`] it is the way to test
    /// listeners without a socket; [`ClientBuilder::connector`](crate::ClientBuilder::connector) shows
    /// both sides.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyClients`]; [`Error::UserNotAllowed`] on a server that lets only some users in, as such
    /// a stream has no user to tell. `Ok(None)` is a server that is closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("in memory");
    /// let (ours, _theirs) = tokio::io::duplex(64 * 1024);
    /// let client_id = server.serve_connection(ours)?.expect("the server is not closed");
    /// assert_eq!(server.clients(), [client_id]);
    /// # Ok(()) }
    /// ```
    pub fn serve_connection<S>(&self, stream: S) -> Result<Option<ClientId>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.state.admit(stream, None, false)
    }

    /// Returns who is connected, in the order they came.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientId> {
        let mut clients = Vec::new();
        self.state.clients.for_each(|id, _| clients.push(id));
        clients.sort_unstable();
        clients
    }

    /// Returns the process, user and group of a client, as the kernel tells them; `None` for one that is not
    /// connected, or not over a Unix socket.
    #[must_use]
    pub fn peer(&self, client_id: ClientId) -> Option<Peer> {
        self.state.clients.get(client_id)?.peer
    }

    /// Ends the connection of one client: no further message of it is heard, what is queued for it is written
    /// (for `drain` at most), and it ends once the client has closed its end too, or a second later. Says
    /// whether it was connected.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// let clients = server.handle();
    /// server.on_topic("quit", move |_message, client_id| {
    ///     clients.disconnect(client_id);
    /// });
    /// ```
    pub fn disconnect(&self, client_id: ClientId) -> bool {
        let client = self.state.clients.get(client_id);
        client.map(|client| client.link.outbox.close(CloseCommand::Drain(CloseCause::Disconnected))).is_some()
    }

    /// Returns what has been counted since the server was made: messages and bytes by topic, errors, what is queued. Counting
    /// is always on; [`Stats`] has an example.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Closes the server, for good.
    ///
    /// Closing begins at the call; awaiting what it returns waits for its end. There are no new connections,
    /// no further message listener starts, what is queued is written (for `drain` at most, incoming bytes
    /// being read and discarded), each connection ends once the client has closed its end too, or a
    /// second later, and last comes `on_close`. Asynchronous listeners that are in flight may finish within
    /// the drain; one that itself awaits the closing is not waited for. The socket file goes first, and
    /// the path is free for another server once this resolves.
    ///
    /// It may be called in every state, inside listeners, and any number of times.
    pub fn close(&self) -> Closing {
        self.state.close();
        self.closed()
    }

    /// Waits until the server is closed, by whomever, or dropped.
    pub fn closed(&self) -> Closing {
        closing::closed(&self.state)
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("path", &self.state.options.path)
            .field("phase", &self.state.core.lifecycle.phase())
            .finish_non_exhaustive()
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for ServerHandle<P> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

impl<P> fmt::Debug for ServerHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("ServerHandle", f)
    }
}
