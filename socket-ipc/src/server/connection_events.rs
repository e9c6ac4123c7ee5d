//! The events of a server's connections, as a stream.

use std::sync::Arc;

use super::handle::ServerHandle;
use crate::client_id::ClientId;
use crate::endpoint::listeners;
use crate::events::CloseReason;
use crate::events::stream::{EventStream, event_stream};

/// What happens to the connections of a server: the items of [`ServerHandle::connection_events`].
///
/// ```
/// use socket_ipc::ServerConnectionEvent;
///
/// fn describe(event: &ServerConnectionEvent) -> String {
///     match event {
///         ServerConnectionEvent::Opened(client_id) => format!("{client_id} connected"),
///         ServerConnectionEvent::Closed(client_id, reason) => format!("{client_id} is gone: {reason}"),
///         ServerConnectionEvent::Lagged(count) => format!("{count} events were missed"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerConnectionEvent {
    /// A client connected; none of its messages has been dispatched yet.
    Opened(ClientId),
    /// A connection ended, after the last of its messages was dispatched. The reason says which end ended it and why,
    /// and what was lost.
    Closed(ClientId, CloseReason),
    /// The number of events that had no room in the stream, because earlier events had not been read.
    /// [`clients`](ServerHandle::clients) returns the clients that are connected now; later events may repeat them.
    Lagged(u64),
}

/// # Listening to events in a loop
impl<P> ServerHandle<P> {
    /// Returns the beginning and the end of each connection as a bounded stream, from now on.
    ///
    /// What [`on_connection`](Self::on_connection) and [`on_connection_close`](Self::on_connection_close) tell a
    /// callback, in a loop. Of each client that connects it has the beginning before the end; of a client that is
    /// connected already only the end. The stream never slows down the server: events that have no room are counted,
    /// and the count takes their place ([`ServerConnectionEvent::Lagged`]).
    ///
    /// It is a queue of its own: where a loop reads a subscription beside it, a message may be read before its
    /// client's `Opened`, or after its `Closed`. [`events`](Self::events) has both in one order, and makes clients wait
    /// instead of counting.
    ///
    /// On a server that is closed it has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::{Client, ServerConnectionEvent, Server};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("socket-ipc-doc-connections-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("myApp.sock");
    /// let server = Server::new(&path);
    /// let mut connections = server.connection_events();
    /// server.listen().await?;
    ///
    /// let client = Client::new(&path);
    /// client.connect().await?;
    /// let Some(ServerConnectionEvent::Opened(client_id)) = connections.next().await else { unreachable!() };
    /// assert_eq!(server.clients(), [client_id]);
    ///
    /// client.close().await;
    /// let Some(ServerConnectionEvent::Closed(gone, reason)) = connections.next().await else { unreachable!() };
    /// assert_eq!((gone, reason.unsent_messages), (client_id, 0));
    ///
    /// server.close().await;
    /// assert!(connections.next().await.is_none());
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(()) }
    /// ```
    pub fn connection_events(&self) -> EventStream<ServerConnectionEvent> {
        let (closed, stream) = event_stream(ServerConnectionEvent::Lagged);
        let opened = Arc::clone(&closed);
        // The listener of ends is attached first. Of a client that comes and goes in between, the stream then has the
        // end alone, as of a client that was connected before. In the other order it would have the beginning alone.
        let attached = vec![
            self.on_connection_close(move |id, reason| {
                closed.push(ServerConnectionEvent::Closed(id, reason.clone()));
            }),
            self.on_connection(move |id| opened.push(ServerConnectionEvent::Opened(id))),
        ];
        listeners::attached(&self.state, stream, attached)
    }
}
