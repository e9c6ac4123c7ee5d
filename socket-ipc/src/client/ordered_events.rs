//! The connections of a client and the messages of its server, as one stream.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::handle::ClientHandle;
use crate::endpoint::listeners;
use crate::error::ConnectError;
use crate::events::CloseReason;
use crate::events::ordered::OrderedSender;
use crate::router::{Subscription, subscription_of_sender};
use crate::sync::read;
use crate::topic::set::{SetToClient, TopicSet};

/// What happens to the connection of a client, and what arrives over it: the items of [`ClientHandle::events`].
///
/// ```
/// use socket_ipc::ClientEvent;
///
/// fn describe(event: &ClientEvent<u64>) -> String {
///     match event {
///         ClientEvent::Connected { again: false } => "connected".into(),
///         ClientEvent::Connected { again: true } => "connected again".into(),
///         ClientEvent::Message(number) => format!("the server sent {number}"),
///         ClientEvent::Disconnected(reason) => format!("lost the server: {reason}"),
///         ClientEvent::ConnectFailed(failures) => format!("{failures}"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientEvent<M> {
    /// There is a connection. Its messages come after this.
    Connected {
        /// Whether there was one before.
        again: bool,
    },
    /// A message of the server.
    Message(M),
    /// The connection ended. None of its messages comes after this. The reason says which end ended it and why, and what
    /// was lost.
    Disconnected(CloseReason),
    /// Attempts to connect failed, in a row. Another follows while `connect` runs, and after a connection was lost. Once
    /// the attempts that `give_up_after` allows have failed, the stream ends.
    ConnectFailed(ConnectFailures),
}

/// Attempts to connect that failed in a row, as one entry: part of [`ClientEvent::ConnectFailed`].
///
/// ```
/// use socket_ipc::ConnectFailures;
///
/// fn warn(failures: &ConnectFailures) {
///     eprintln!("{} attempts failed, the last of them: {}", failures.attempts, failures.error);
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectFailures {
    /// How many attempts failed since the entry before: 1 where the stream is read as fast as they fail.
    pub attempts: u64,
    /// Why the last of them failed.
    pub error: Arc<ConnectError>,
}

impl fmt::Display for ConnectFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts {
            1 => write!(f, "{}", self.error),
            attempts => write!(f, "{} ({attempts} attempts)", self.error),
        }
    }
}

impl<P> ClientHandle<P> {
    /// Returns the connections of the client, and the messages of a topic or of a [set](crate::TopicSet) of topics, in
    /// the order in which they happen, as one bounded stream, from now on.
    ///
    /// Of each connection it has [`Connected`](ClientEvent::Connected), its messages in the order in which the server
    /// sent them, and [`Disconnected`](ClientEvent::Disconnected). Nothing of a connection comes after its
    /// `Disconnected`, and nothing of the next before its `Connected`. A connection that there is already comes first.
    /// Failed attempts in between are [`ConnectFailed`](ClientEvent::ConnectFailed): one entry with a count, until it is
    /// read.
    ///
    /// # What happens if the loop is slow?
    ///
    /// Nothing is lost: the server waits, as for a [`Subscription`], whose bounds it has. A full stream dispatches
    /// nothing of a new connection until its `Connected` has room, and the client connects again only once
    /// `Disconnected` has room. So a stream that is not read is to be dropped.
    /// [`connection_events`](Self::connection_events) never makes the client wait.
    ///
    /// # When does it end?
    ///
    /// When the client is closed, after the last `Disconnected`, or gives up. A client that is dropped reports no end:
    /// the stream ends.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Client, ClientEvent, Topic, TopicSet};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "news"]
    /// struct News { text: String }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "job event"]
    /// struct JobEvent { job: u64 }
    ///
    /// #[derive(TopicSet)]
    /// enum FromServer {
    ///     News(News),
    ///     JobEvent(JobEvent),
    /// }
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("/tmp/myApp.sock");
    /// let mut events = client.events::<FromServer>();
    /// client.connect().await?;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         ClientEvent::Connected { again } => println!("connected, again: {again}"),
    ///         ClientEvent::Message(FromServer::News(news)) => println!("{}", news.text),
    ///         ClientEvent::Message(FromServer::JobEvent(event)) => println!("job {}", event.job),
    ///         ClientEvent::Disconnected(reason) => println!("lost the server: {reason}"),
    ///         ClientEvent::ConnectFailed(failures) => println!("{failures}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn events<S>(&self) -> Subscription<ClientEvent<S>>
    where
        S: TopicSet + SetToClient<P>,
    {
        let (queue, subscription) = subscription_of_sender();
        let message = OrderedSender::new(queue);
        let (begin, end, failed) = (Arc::clone(&message), Arc::clone(&message), Arc::clone(&message));
        let own = &self.state.core.events.own;
        let mut attached = vec![
            own.disconnect.attach(Box::new(move |reason, holds| {
                holds.add(end.end((), ClientEvent::Disconnected(reason.clone()), || None));
            })),
            own.connect_error.attach(Box::new(move |error| {
                let failures = ConnectFailures { attempts: 1, error: Arc::clone(error) };
                failed.send_or_change(ClientEvent::ConnectFailed(failures), |newest| match newest {
                    ClientEvent::ConnectFailed(failures) => {
                        failures.attempts += 1;
                        // Dropped by the caller: it may hold an error of the user.
                        Some(std::mem::replace(&mut failures.error, Arc::clone(error)))
                    }
                    _ => None,
                });
            })),
            own.connect.attach(Box::new(move |again, holds| {
                begin.begin((), ClientEvent::Connected { again }, holds);
            })),
        ];
        // After these listeners are attached, because a connection that begins or ends from now on is reported to them.
        // Before the listeners of messages, because the beginning of a connection is sent before its messages.
        let state = &self.state;
        message.existing(
            || read(&state.link).iter().map(|_| ()).collect(),
            |()| ClientEvent::Connected { again: state.core.metrics.connections.load(Ordering::Relaxed) > 1 },
        );
        attached.push(listeners::attach_set(&self.state, move |item: S, len, ()| {
            message.message((), ClientEvent::Message(item), len)
        }));
        subscription.attached(listeners::detach_from(&self.state), attached)
    }
}
