//! The connections of a server and the messages of its clients, as one stream.

use std::sync::Arc;

use super::handle::ServerHandle;
use super::state::State;
use crate::client_id::ClientId;
use crate::endpoint::listeners;
use crate::events::CloseReason;
use crate::events::ordered::OrderedSender;
use crate::router::{Counted, Subscription, subscription_of_sender};
use crate::topic::set::{SetToServer, TopicSet};

/// What happens to the connections of a server, and what arrives over them: the items of [`ServerHandle::events`].
///
/// ```
/// use socket_ipc::ServerEvent;
///
/// fn describe(event: &ServerEvent<u64>) -> String {
///     match event {
///         ServerEvent::Connected(client_id) => format!("{client_id} connected"),
///         ServerEvent::Message(number, client_id) => format!("{client_id}: {number}"),
///         ServerEvent::Disconnected(client_id, reason) => format!("{client_id} is gone: {reason}"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerEvent<M> {
    /// A client connected. Its messages come after this.
    Connected(ClientId),
    /// A message of a client.
    Message(M, ClientId),
    /// A connection ended. None of its messages comes after this. The reason says which end ended it and why, and what
    /// was lost.
    Disconnected(ClientId, CloseReason),
}

impl<P> ServerHandle<P> {
    /// Returns the connections of the server, and the messages of a topic or of a [set](crate::TopicSet) of topics, in
    /// the order in which they happen, as one bounded stream, from now on.
    ///
    /// Of each client it has [`Connected`](ServerEvent::Connected), its messages in the order in which it sent them, and
    /// [`Disconnected`](ServerEvent::Disconnected), each once and in this order. The clients that are connected already
    /// come first. A message of a server or program of another machine, over [NATS](crate::guide::cluster), has neither:
    /// its sender is no connection.
    ///
    /// # What happens if the loop is slow?
    ///
    /// Nothing is lost: the clients wait, as for a [`Subscription`], whose bounds it has. A full stream dispatches
    /// nothing of a new client until its `Connected` has room. A `Disconnected` without room waits, too, and counts as a
    /// client meanwhile: while there are as many of both as
    /// [`max_clients`](crate::ServerBuilder::max_clients), further clients are refused. So a stream that is not read is
    /// to be dropped. [`connection_events`](Self::connection_events) never makes a client wait.
    ///
    /// # When does it end?
    ///
    /// When the server is closed, after the last `Disconnected`. A server that is dropped reports no end: the stream
    /// ends.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Server, ServerEvent, Topic};
    /// use std::collections::HashMap;
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "hello"]
    /// struct Hello { name: String }
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("/tmp/myApp.sock");
    /// let mut events = server.events::<Hello>();
    /// server.listen().await?;
    /// let mut names = HashMap::new();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         ServerEvent::Message(hello, client_id) => drop(names.insert(client_id, hello.name)),
    ///         ServerEvent::Disconnected(client_id, _) => drop(names.remove(&client_id)),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn events<S>(&self) -> Subscription<ServerEvent<S>>
    where
        S: TopicSet + SetToServer<P>,
    {
        let (queue, subscription) = subscription_of_sender();
        let message = OrderedSender::new(queue);
        let (begin, end) = (Arc::clone(&message), Arc::clone(&message));
        let own = &self.state.core.events.own;
        let places = Arc::clone(&self.state.ends_without_room);
        let mut attached = vec![
            own.connection_close.attach(Box::new(move |id, reason| {
                let entry = ServerEvent::Disconnected(id, reason.clone());
                drop(end.end(id, entry, || Some(Counted::new(&places))));
            })),
            own.connection.attach(Box::new(move |id, holds| {
                begin.begin(id, ServerEvent::Connected(id), holds);
            })),
        ];
        // After these listeners are attached, because a connection that begins or ends from now on is reported to them.
        // Before the listeners of messages, because the beginning of a connection is sent before its messages.
        message.existing(|| self.state.open_connections(), ServerEvent::Connected);
        attached.push(listeners::attach_set(&self.state, move |item: S, len, id| {
            #[cfg(feature = "nats")]
            if id.is_remote() {
                return message.of_no_connection(ServerEvent::Message(item, id), len);
            }
            message.message(id, ServerEvent::Message(item, id), len)
        }));
        subscription.attached(listeners::detach_from(&self.state), attached)
    }
}

impl State {
    /// The connections that have been reported, and whose end has not been.
    fn open_connections(&self) -> Vec<ClientId> {
        let mut open: Vec<_> =
            self.clients.all().into_iter().filter(|(_, client)| client.is_open()).map(|(id, _)| id).collect();
        open.sort_unstable();
        open
    }
}
