//! Attaching listeners to a server.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::handle::ServerHandle;
use crate::client_id::ClientId;
use crate::endpoint::listeners;
use crate::error::{Error, MessageError};
use crate::events::CloseReason;
use crate::listener::ListenerId;
use crate::router::Subscription;
use crate::topic::Topic;
use crate::topic::direction::ToServer;
use crate::wire::raw_message::RawMessage;

/// An asynchronous listener of a server: any `Fn(A, ClientId)` that returns a future of nothing.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use socket_ipc::{AsyncListener, ClientId};
///
/// fn is_a_listener<A>(_: impl AsyncListener<A>) {}
///
/// is_a_listener(|number: u64, client_id: ClientId| async move { println!("{client_id}: {number}") });
/// ```
// `Fn` is a supertrait so that the compiler infers the types of a closure's arguments.
pub trait AsyncListener<A>: Fn(A, ClientId) -> Self::Future + Send + Sync + 'static {
    /// What the listener returns.
    type Future: Future<Output = ()> + Send + 'static;
}

impl<A, L, F> AsyncListener<A> for L
where
    L: Fn(A, ClientId) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Future = F;
}

/// # Listening to messages
///
/// The listeners of a client's message are called one after the other: first the listeners of every message, then those
/// of the topic, each in the order in which they were attached. They may be attached and removed at any time, inside
/// listeners too; one that is attached inside a listener is called from the next message on.
///
/// A listener that blocks its thread delays everything that shares that thread: blocking work belongs in
/// [`on_async`](Self::on_async) with [`tokio::task::spawn_blocking`]. A listener that panics is reported by
/// [`on_error`](Self::on_error); the others still run.
impl<P> ServerHandle<P> {
    #[doc = include_str!("../endpoint/docs/on.md")]
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    /// use std::borrow::Cow;
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "log"]
    /// struct Log<'m> {
    ///     level: u8,
    ///     #[serde(borrow)]
    ///     target: Cow<'m, str>,
    /// }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.on::<Log>(|msg, client_id| println!("{client_id} {} {}", msg.level, msg.target));
    /// ```
    pub fn on<T>(
        &self,
        listener: impl for<'m> Fn(T::Message<'m>, ClientId) + Send + Sync + 'static,
    ) -> ListenerId
    where
        P: ToServer<T>,
        T: Topic + 'static,
        for<'m> T::Message<'m>: Deserialize<'m>,
    {
        listeners::on::<T, _>(&self.state, listener)
    }

    #[doc = include_str!("../endpoint/docs/on_async.md")]
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "copy"]
    /// struct Copy { from: String, to: String }
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.on_async::<Copy>(|msg, client_id| async move {
    ///     if let Err(error) = tokio::fs::copy(msg.from, msg.to).await {
    ///         eprintln!("{client_id}: {error}");
    ///     }
    /// });
    /// ```
    pub fn on_async<T>(&self, listener: impl AsyncListener<T>) -> ListenerId
    where
        P: ToServer<T>,
        T: Topic + DeserializeOwned + 'static,
    {
        listeners::on_async(&self.state, listener)
    }

    /// Attaches a listener to the messages of a topic known only at run time, as JSON text.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.on_topic("desserts", |message, client_id| println!("{client_id} likes {message}"));
    /// ```
    pub fn on_topic(
        &self,
        topic: &str,
        listener: impl Fn(RawMessage<'_>, ClientId) + Send + Sync + 'static,
    ) -> ListenerId {
        listeners::on_topic(&self.state, topic, listener)
    }

    /// Attaches a listener to every message, called before the listeners of its topic.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.on_message(|message, topic, client_id| println!("{client_id} {topic} {message}"));
    /// ```
    pub fn on_message(
        &self,
        listener: impl Fn(RawMessage<'_>, &str, ClientId) + Send + Sync + 'static,
    ) -> ListenerId {
        listeners::on_message(&self.state, listener)
    }

    #[doc = include_str!("../endpoint/docs/on_fallback.md")]
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// server.on_fallback(|message, topic, client_id| eprintln!("{client_id}: {topic} means nothing here: {message}"));
    /// ```
    pub fn on_fallback(
        &self,
        listener: impl Fn(RawMessage<'_>, &str, ClientId) + Send + Sync + 'static,
    ) -> ListenerId {
        listeners::on_fallback(&self.state, listener)
    }

    /// Returns the messages of type `T`, each with the client that sent it, as a bounded stream, from now on.
    ///
    /// A loop in place of a callback. A full stream slows down the clients that send its topic, each in its turn.
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "hello"]
    /// struct Hello { name: String }
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("/tmp/myApp.sock");
    /// let mut hellos = server.subscribe::<Hello>();
    /// server.listen().await?;
    /// while let Some((hello, client_id)) = hellos.next().await {
    ///     println!("{client_id} is {}", hello.name);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn subscribe<T>(&self) -> Subscription<(T, ClientId)>
    where
        P: ToServer<T>,
        T: Topic + DeserializeOwned + Send + 'static,
    {
        listeners::subscribe(&self.state, |message: T, client_id| (message, client_id))
    }

    /// Returns every message, its topic, its JSON text and the client that sent it, as a bounded stream, from now on.
    ///
    /// A loop in place of the callback of [`on_message`](Self::on_message). A message reaches it before the listeners
    /// of its topic. A full stream slows down all clients that send, each in its turn.
    ///
    /// ```no_run
    /// use socket_ipc::Server;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("/tmp/myApp.sock");
    /// let mut messages = server.subscribe_raw();
    /// server.listen().await?;
    /// while let Some((topic, message, client_id)) = messages.next().await {
    ///     println!("{client_id} {topic} {message}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn subscribe_raw(&self) -> Subscription<(String, RawMessage<'static>, ClientId)> {
        listeners::subscribe_raw(&self.state, |topic, message, client_id| (topic, message, client_id))
    }

    #[doc = include_str!("../endpoint/docs/off.md")]
    pub fn off(&self, listener: ListenerId) -> bool {
        listeners::off(&self.state, listener)
    }
}

/// # Listening to events
///
/// The events of one connection come in order and once: `on_connection`, its messages, `on_connection_close`;
/// `on_close` is the last of all. A loss or an error whose event has no listener is a `tracing` warning.
///
/// `on_connection_close` waits for the messages before it, and so for a listener that is still busy with one. A
/// listener that has to know earlier whether its client is still connected looks at [`clients`](Self::clients), or
/// sends.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.on_listening(|| println!("listening"));
/// server.on_connection(|client_id| println!("{client_id} connected"));
/// server.on_connection_close(|client_id, reason| println!("{client_id} is gone: {reason}"));
/// server.on_message_error(|error, client_id| eprintln!("{client_id} sent {error}"));
/// server.on_error(|error| eprintln!("{error}"));
/// server.on_close(|| println!("closed"));
/// ```
impl<P> ServerHandle<P> {
    /// Attaches a listener to the moment from which clients can connect.
    pub fn on_listening(&self, listener: impl Fn() + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.own.listening.attach(Box::new(listener))
    }

    /// Attaches a listener to each client that connects. It is called before any message of the client is dispatched.
    pub fn on_connection(&self, listener: impl Fn(ClientId) + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.own.connection.attach(Box::new(listener))
    }

    /// Attaches a listener to the end of each connection, after the last of its messages, with the reason and
    /// what was lost.
    pub fn on_connection_close(
        &self,
        listener: impl Fn(ClientId, &CloseReason) + Send + Sync + 'static,
    ) -> ListenerId {
        self.state.core.events.own.connection_close.attach(Box::new(listener))
    }

    /// Attaches a listener to messages that could not be dispatched, to all or to one of their listeners.
    pub fn on_message_error(
        &self,
        listener: impl Fn(&MessageError, ClientId) + Send + Sync + 'static,
    ) -> ListenerId {
        self.state.core.events.common.message_error.attach(Box::new(listener))
    }

    /// Attaches a listener to errors that no call returns: listeners that panic, clients that are refused, connections
    /// that can't be accepted.
    pub fn on_error(&self, listener: impl Fn(&Error) + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.common.error.attach(Box::new(listener))
    }

    /// Attaches a listener to the end of the server, after which there is no other event.
    pub fn on_close(&self, listener: impl Fn() + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.common.close.attach(Box::new(listener))
    }
}
