//! The events of a client's connection, as a stream.

use std::sync::Arc;

use super::handle::ClientHandle;
use crate::endpoint::listeners;
use crate::error::ConnectError;
use crate::events::CloseReason;
use crate::events::stream::{EventStream, event_stream};

/// What happens to the connection of a client: the items of [`ClientHandle::connection_events`].
///
/// ```
/// use socket_ipc::ClientConnectionEvent;
///
/// fn describe(event: &ClientConnectionEvent) -> String {
///     match event {
///         ClientConnectionEvent::Connected { again: false } => "connected".into(),
///         ClientConnectionEvent::Connected { again: true } => "connected again".into(),
///         ClientConnectionEvent::ConnectFailed(error) => error.to_string(),
///         ClientConnectionEvent::Disconnected(reason) => format!("lost the server: {reason}"),
///         ClientConnectionEvent::Lagged(count) => format!("{count} events were missed"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientConnectionEvent {
    /// There is a connection; none of its messages has been dispatched yet.
    Connected {
        /// Whether there was one before.
        again: bool,
    },
    /// An attempt to connect failed. Another follows while `connect` runs, and after a connection was lost. Once the
    /// attempts that `give_up_after` allows have failed, the stream ends.
    ConnectFailed(Arc<ConnectError>),
    /// The connection ended, after the last of its messages was dispatched. The reason says which end ended it and why,
    /// and what was lost.
    Disconnected(CloseReason),
    /// The number of events that had no room in the stream, because earlier events had not been read.
    /// [`is_connected`](ClientHandle::is_connected) says whether there is a connection now; later events may repeat it.
    Lagged(u64),
}

/// # Listening to events in a loop
impl<P> ClientHandle<P> {
    /// Returns the events of the connection as a bounded stream, from now on.
    ///
    /// What [`on_connect`](Self::on_connect), [`on_reconnect`](Self::on_reconnect),
    /// [`on_connect_error`](Self::on_connect_error) and [`on_disconnect`](Self::on_disconnect) tell a callback, in a
    /// loop. Each connection has its beginning before its end. The stream never slows down the client: events that have
    /// no room are counted, and the count takes their place ([`ClientConnectionEvent::Lagged`]).
    ///
    /// It is a queue of its own: where a loop reads a subscription beside it, a message may be read before the
    /// `Connected` of its connection, or after its `Disconnected`. [`events`](Self::events) has both in one order, and
    /// makes the server wait instead of counting.
    ///
    /// It ends when the client is closed or gives up; on a client that is closed it has ended.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use socket_ipc::{Client, ClientConnectionEvent};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("/tmp/myApp.sock");
    /// let mut events = client.connection_events();
    /// client.connect().await?;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         ClientConnectionEvent::Connected { again: true } => println!("there it is again"),
    ///         ClientConnectionEvent::Disconnected(reason) => println!("lost the server: {reason}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn connection_events(&self) -> EventStream<ClientConnectionEvent> {
        let (disconnected, stream) = event_stream(ClientConnectionEvent::Lagged);
        let (failed, connected) = (Arc::clone(&disconnected), Arc::clone(&disconnected));
        // The listener of ends is attached first. Of a connection that is made and lost in between, the stream then has
        // the end alone, as of one that was there before. In the other order it would have the beginning alone.
        let events = &self.state.core.events.own;
        let attached = vec![
            events.disconnect.attach(Box::new(move |reason, _holds| {
                disconnected.push(ClientConnectionEvent::Disconnected(reason.clone()));
            })),
            events.connect_error.attach(Box::new(move |error| {
                failed.push(ClientConnectionEvent::ConnectFailed(Arc::clone(error)));
            })),
            events.connect.attach(Box::new(move |again, _holds| {
                connected.push(ClientConnectionEvent::Connected { again })
            })),
        ];
        listeners::attached(&self.state, stream, attached)
    }
}
