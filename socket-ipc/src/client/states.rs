//! What becomes of a client's connection, as a stream.

use std::sync::{Arc, Weak};

use super::handle::ClientHandle;
use super::state::State;
use crate::error::ConnectError;
use crate::event_stream::{EventStream, event_stream};
use crate::events::CloseReason;
use crate::router::Detach;

/// What becomes of a client's connection: the items of [`ClientHandle::states`].
///
/// ```
/// use socket_ipc::ClientState;
///
/// fn describe(state: &ClientState) -> String {
///     match state {
///         ClientState::Connected { again: false } => "connected".into(),
///         ClientState::Connected { again: true } => "connected again".into(),
///         ClientState::ConnectFailed(error) => format!("{error}; trying again"),
///         ClientState::Disconnected(reason) => format!("lost the server: {reason}"),
///         ClientState::Missed(count) => format!("{count} states went by unseen"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientState {
    /// There is a connection; none of its messages was heard yet.
    Connected {
        /// Whether there was one before.
        again: bool,
    },
    /// An attempt to connect failed. Another follows, unless `give_up_after` says otherwise; then the stream ends.
    ConnectFailed(Arc<ConnectError>),
    /// The connection ended, after the last of its messages was heard: who ended it, and what was lost.
    Disconnected(CloseReason),
    /// So many states had no room here, as nobody read those before them.
    /// [`is_connected`](ClientHandle::is_connected) says whether there is a connection now; the states that follow
    /// may say so once more.
    Missed(u64),
}

/// # Listening to events in a loop
impl<P> ClientHandle<P> {
    /// Returns what becomes of the connection as a bounded stream, from now on.
    ///
    /// What [`on_connect`](Self::on_connect), [`on_reconnect`](Self::on_reconnect),
    /// [`on_connect_error`](Self::on_connect_error) and [`on_disconnect`](Self::on_disconnect) tell a callback, for
    /// those who prefer loops. Each connection has its beginning before its end. It never slows down the client:
    /// states that have no room are counted, and the count stands in their place ([`ClientState::Missed`]).
    ///
    /// It is a queue of its own: where a loop reads a subscription beside it, a message may be read before the
    /// `Connected` of its connection, or after its `Disconnected`. Listeners are called in that order.
    ///
    /// It ends when the client is closed or gives up; on a client that is closed it has ended.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use socket_ipc::{Client, ClientState};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("/tmp/myApp.sock");
    /// let mut states = client.states();
    /// client.connect().await?;
    /// while let Some(state) = states.next().await {
    ///     match state {
    ///         ClientState::Connected { again: true } => println!("there it is again"),
    ///         ClientState::Disconnected(reason) => println!("lost the server: {reason}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn states(&self) -> EventStream<ClientState> {
        let (disconnected, stream) = event_stream(ClientState::Missed);
        let (failed, connected) = (Arc::clone(&disconnected), Arc::clone(&disconnected));
        // The end first: a connection that is made and lost meanwhile is then one that was there before, and none
        // that seems to stay.
        let events = &self.state.events;
        let listeners = vec![
            events.disconnect.attach(Box::new(move |reason| {
                disconnected.push(ClientState::Disconnected(reason.clone()));
            })),
            events.connect_error.attach(Box::new(move |error| {
                failed.push(ClientState::ConnectFailed(Arc::clone(error)));
            })),
            events.connect.attach(Box::new(move |again| connected.push(ClientState::Connected { again }))),
        ];
        let state: Weak<dyn Detach> = Arc::<State>::downgrade(&self.state);
        stream.attached(state, listeners)
    }
}
