//! Subscriptions, whose iterators wait for messages, and the handle that attaches listeners.

use super::Client;
use crate::blocking::messages::Messages;
use crate::client::{ClientEvent, ClientHandle};
use crate::topic::set::{SetToClient, TopicSet, only_topic};
use crate::wire::raw_message::RawMessage;

/// # Listening
impl<P> Client<P> {
    /// Subscribes to the messages of a topic, or of a [set](crate::TopicSet) of topics in the order in which they were
    /// sent: an iterator that waits for them. It misses messages that arrive before it is made, so make it before
    /// [`connect`](Self::connect).
    ///
    /// A message that does not decode into its type is reported by [`on_message_error`](ClientHandle::on_message_error) of
    /// the [`handle`](Self::handle), and skipped. [`Messages`] has an example.
    pub fn subscribe<S>(&self) -> Messages<S>
    where
        S: TopicSet + SetToClient<P>,
    {
        Messages::new(self.client.subscribe::<S>(), only_topic::<S>(), self.thread.own().clone())
    }

    /// Subscribes to the connections of the client and the messages of a topic or a [set](crate::TopicSet), in one
    /// order: an iterator that waits for them. [`ClientHandle::events`] says what comes when.
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{ClientEvent, Topic, blocking};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "tick"]
    /// struct Tick(u64);
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = blocking::Client::new("/tmp/myApp.sock");
    /// let events = client.events::<Tick>();
    /// client.connect()?;
    /// for event in events {
    ///     match event {
    ///         ClientEvent::Message(Tick(number)) => println!("{number}"),
    ///         ClientEvent::Disconnected(reason) => println!("lost the server: {reason}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn events<S>(&self) -> Messages<ClientEvent<S>>
    where
        S: TopicSet + SetToClient<P>,
    {
        Messages::new(self.client.events::<S>(), None, self.thread.own().clone())
    }

    /// Subscribes to every message, from now on: an iterator that waits for them, each with its topic and its JSON
    /// text.
    ///
    /// ```no_run
    /// use socket_ipc::blocking;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = blocking::Client::new("/tmp/myApp.sock");
    /// let messages = client.subscribe_raw();
    /// client.connect()?;
    /// for (topic, message) in messages {
    ///     println!("{topic} {message}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn subscribe_raw(&self) -> Messages<(String, RawMessage<'static>)> {
        Messages::new(self.client.subscribe_raw(), None, self.thread.own().clone())
    }

    /// Returns the asynchronous handle to the client. The listeners and responders that it attaches are called on the
    /// client's thread. It sends without waiting, from any thread, and it can close the client.
    ///
    /// ```
    /// let client = socket_ipc::blocking::Client::new("/tmp/myApp.sock");
    /// let handle = client.handle();
    /// handle.on_disconnect(|reason| eprintln!("lost the server: {reason}"));
    /// handle.on_message_error(|error| eprintln!("the server sent {error}"));
    /// ```
    #[must_use]
    pub fn handle(&self) -> ClientHandle<P> {
        self.client.handle()
    }

    /// Says whether there is a connection to send over. It may end the moment after, so rely on what
    /// [`send`](Self::send) returns.
    ///
    /// ```
    /// assert!(!socket_ipc::blocking::Client::new("/tmp/myApp.sock").is_connected());
    /// ```
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }
}
