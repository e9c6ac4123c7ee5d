//! Attaching listeners to a client.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::handle::ClientHandle;
use crate::endpoint::listeners;
use crate::error::{ConnectError, Error, MessageError};
use crate::events::CloseReason;
use crate::listener::ListenerId;
use crate::router::Subscription;
use crate::topic::Topic;
use crate::topic::direction::ToClient;
use crate::wire::raw_message::RawMessage;

/// An asynchronous listener of a client: any `Fn(A)` that returns a future of nothing.
///
/// It is implemented for all of them; there is nothing to implement.
///
/// ```
/// use socket_ipc::AsyncClientListener;
///
/// fn is_a_listener<A>(_: impl AsyncClientListener<A>) {}
///
/// is_a_listener(|number: u64| async move { println!("{number}") });
/// ```
// `Fn` is a supertrait so that the compiler infers the types of a closure's arguments.
pub trait AsyncClientListener<A>: Fn(A) -> Self::Future + Send + Sync + 'static {
    /// What the listener returns.
    type Future: Future<Output = ()> + Send + 'static;
}

impl<A, L, F> AsyncClientListener<A> for L
where
    L: Fn(A) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Future = F;
}

/// # Listening to messages
///
/// Listeners are called one after the other, as on a server ([`ServerHandle`](crate::ServerHandle)), but take no
/// client: first the listeners of every message, then those of the topic, each in the order in which they were
/// attached. They stay attached when the connection is lost and made again.
impl<P> ClientHandle<P> {
    #[doc = include_str!("../endpoint/docs/on.md")]
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "greeting"]
    /// struct Greeting { text: String }
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.on::<Greeting>(|msg| println!("{}", msg.text));
    /// ```
    pub fn on<T>(&self, listener: impl for<'m> Fn(T::Message<'m>) + Send + Sync + 'static) -> ListenerId
    where
        P: ToClient<T>,
        T: Topic + 'static,
        for<'m> T::Message<'m>: Deserialize<'m>,
    {
        listeners::on::<T, _>(&self.state, move |message: T::Message<'_>, ()| listener(message))
    }

    #[doc = include_str!("../endpoint/docs/on_async.md")]
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, Topic};
    /// use std::time::Duration;
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "nap"]
    /// struct Nap { milliseconds: u64 }
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.on_async::<Nap>(|msg| tokio::time::sleep(Duration::from_millis(msg.milliseconds)));
    /// ```
    pub fn on_async<T>(&self, listener: impl AsyncClientListener<T>) -> ListenerId
    where
        P: ToClient<T>,
        T: Topic + DeserializeOwned + 'static,
    {
        listeners::on_async(&self.state, move |message: T, ()| listener(message))
    }

    /// Attaches a listener to the messages of a topic known only at run time, as JSON text.
    ///
    /// ```
    /// use socket_ipc::Client;
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.on_topic("desserts", |message| println!("today: {message}"));
    /// ```
    pub fn on_topic(
        &self,
        topic: &str,
        listener: impl Fn(RawMessage<'_>) + Send + Sync + 'static,
    ) -> ListenerId {
        listeners::on_topic(&self.state, topic, move |message: RawMessage<'_>, ()| listener(message))
    }

    /// Attaches a listener to every message, called before the listeners of its topic.
    ///
    /// ```
    /// use socket_ipc::Client;
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.on_message(|message, topic| println!("{topic} {message}"));
    /// ```
    pub fn on_message(&self, listener: impl Fn(RawMessage<'_>, &str) + Send + Sync + 'static) -> ListenerId {
        let listener = move |message: RawMessage<'_>, topic: &str, ()| listener(message, topic);
        listeners::on_message(&self.state, listener)
    }

    #[doc = include_str!("../endpoint/docs/on_fallback.md")]
    ///
    /// ```
    /// use socket_ipc::Client;
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// client.on_fallback(|message, topic| eprintln!("{topic} means nothing here: {message}"));
    /// ```
    pub fn on_fallback(&self, listener: impl Fn(RawMessage<'_>, &str) + Send + Sync + 'static) -> ListenerId {
        let listener = move |message: RawMessage<'_>, topic: &str, ()| listener(message, topic);
        listeners::on_fallback(&self.state, listener)
    }

    /// Returns the messages of type `T` as a bounded stream, from now on.
    ///
    /// A loop in place of a callback. A full stream slows down the server's messages to this client. [`Subscription`]
    /// has an example.
    pub fn subscribe<T>(&self) -> Subscription<T>
    where
        P: ToClient<T>,
        T: Topic + DeserializeOwned + Send + 'static,
    {
        listeners::subscribe(&self.state, |message: T, ()| message)
    }

    /// Returns every message, its topic and its JSON text, as a bounded stream, from now on.
    ///
    /// A loop in place of the callback of [`on_message`](Self::on_message). A message reaches it before the listeners
    /// of its topic. A full stream slows down all that the server sends to this client.
    ///
    /// ```no_run
    /// use socket_ipc::Client;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("/tmp/myApp.sock");
    /// let mut messages = client.subscribe_raw();
    /// client.connect().await?;
    /// while let Some((topic, message)) = messages.next().await {
    ///     println!("{topic} {message}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn subscribe_raw(&self) -> Subscription<(String, RawMessage<'static>)> {
        listeners::subscribe_raw(&self.state, |topic, message, ()| (topic, message))
    }

    #[doc = include_str!("../endpoint/docs/off.md")]
    pub fn off(&self, listener: ListenerId) -> bool {
        listeners::off(&self.state, listener)
    }
}

/// # Listening to events
///
/// The events of one connection come in order and once: `on_connect`, its messages, `on_disconnect`;
/// `on_close` is the last of all. A loss or an error whose event has no listener is a `tracing` warning.
///
/// ```
/// use socket_ipc::Client;
///
/// let client = Client::new("/tmp/myApp.sock");
/// client.on_connect(|| println!("connected"));
/// client.on_reconnect(|| println!("and not for the first time"));
/// client.on_connect_error(|error| eprintln!("{error}; trying again"));
/// client.on_disconnect(|reason| eprintln!("lost the server: {reason}"));
/// client.on_message_error(|error| eprintln!("the server sent {error}"));
/// client.on_error(|error| eprintln!("{error}"));
/// client.on_close(|| println!("closed"));
/// ```
impl<P> ClientHandle<P> {
    /// Attaches a listener to every connection that is made, the first and each after it. It is called before any
    /// message of the connection is dispatched.
    pub fn on_connect(&self, listener: impl Fn() + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.own.connect.attach(Box::new(move |_again| listener()))
    }

    /// Attaches a listener to every connection but the first, called after those of
    /// [`on_connect`](Self::on_connect).
    pub fn on_reconnect(&self, listener: impl Fn() + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.own.reconnect.attach(Box::new(listener))
    }

    /// Attaches a listener to every attempt to connect that fails. Another one follows, unless
    /// `give_up_after` says otherwise.
    pub fn on_connect_error(&self, listener: impl Fn(&ConnectError) + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.own.connect_error.attach(Box::new(move |error| listener(error)))
    }

    /// Attaches a listener to the end of each connection, after the last of its messages, with the reason and
    /// what was lost.
    pub fn on_disconnect(&self, listener: impl Fn(&CloseReason) + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.own.disconnect.attach(Box::new(listener))
    }

    /// Attaches a listener to messages that could not be dispatched, to all or to one of their listeners.
    pub fn on_message_error(&self, listener: impl Fn(&MessageError) + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.common.message_error.attach(Box::new(move |error, ()| listener(error)))
    }

    /// Attaches a listener to errors that no call returns: listeners that panic, a client that gives up.
    pub fn on_error(&self, listener: impl Fn(&Error) + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.common.error.attach(Box::new(listener))
    }

    /// Attaches a listener to the end of the client, after which there is no other event.
    pub fn on_close(&self, listener: impl Fn() + Send + Sync + 'static) -> ListenerId {
        self.state.core.events.common.close.attach(Box::new(listener))
    }
}
