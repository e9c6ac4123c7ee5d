//! The client, and what a program holds of it.

mod builder;
mod connection_events;
mod connector;
mod describe;
mod events;
mod handle;
mod keeper;
mod listeners;
mod ordered_events;
mod requests;
mod state;
mod streams;

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use tracing::Instrument as _;

use crate::endpoint::lifecycle::Phase;
use crate::endpoint::options::ClientOptions;
use crate::error::ConnectError;
use crate::topic::direction::AnyTopic;

pub use builder::ClientBuilder;
pub use connection_events::ClientConnectionEvent;
use connector::{Connected, Connector};
pub use handle::ClientHandle;
use keeper::Failures;
pub use listeners::AsyncClientListener;
pub use ordered_events::{ClientEvent, ConnectFailures};
pub use requests::{AsyncClientResponder, ClientResponder};
use state::State;
pub use streams::ClientStreamResponder;

/// A client of a server: connects, stays connected, receives from the server and sends to it.
///
/// Listeners are attached and messages sent through the methods of [`ClientHandle`], all of which a client
/// has too.
///
/// Making one touches nothing; [`connect`](Self::connect) connects. A connection that is lost is made again,
/// with the listeners as they were. [`close`](ClientHandle::close) ends it in good order; dropping it ends it
/// at once: nothing more is written, and no event is reported.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "greeting"]
/// struct Greeting {
///     text: String,
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("/tmp/myApp.sock");
/// client.on::<Greeting>(|msg| println!("{}", msg.text));
/// client.connect().await?;
/// client.closed().await;
/// # Ok(()) }
/// ```
/// # With a protocol
///
/// `P` says which topics travel in which direction. [`AnyTopic`], which is what [`Client::new`] makes, lets every topic
/// travel both ways; [`Protocol::client`](crate::Protocol::client) makes a client of a protocol.
///
/// The [book](crate::guide) has a chapter for each subject, among them [messaging](crate::guide::messaging), and
/// [events](crate::guide::events) with the reason why `connect` waits.
pub struct Client<P = AnyTopic> {
    handle: ClientHandle<P>,
}

impl Client {
    /// Makes a client of the server at `path`, with the default options.
    ///
    /// Never fails and touches nothing: a path that can't be a socket's is an error of
    /// [`connect`](Self::connect).
    ///
    /// ```
    /// let client = socket_ipc::Client::new("/tmp/myApp.sock");
    /// ```
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::builder(path).build()
    }

    /// Begins a client of the server at `path` whose options are set before it is made.
    ///
    /// ```
    /// use socket_ipc::Client;
    ///
    /// let client = Client::builder("/tmp/myApp.sock").give_up_after(5).build();
    /// ```
    pub fn builder(path: impl AsRef<Path>) -> ClientBuilder {
        ClientBuilder::new(path.as_ref().to_owned())
    }
}

impl<P> Client<P> {
    fn with_options(options: ClientOptions, connector: Connector) -> Self {
        Self { handle: ClientHandle::new(State::new(options, connector)) }
    }

    /// Connects: tries every `retry_delay` until there is a connection, however long that takes.
    ///
    /// The listeners of `on_connect` have been called once this resolves. It must be called within a tokio runtime with
    /// I/O and time enabled, on which the client then lives: its connection, its listeners and its deadlines. While
    /// that runtime does not run (a `current_thread` one outside of `block_on`) nothing is sent or received, and a
    /// request made from another runtime does not even time out.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::InvalidPath`]: empty, with a NUL byte, or over 107 bytes.
    /// - [`ConnectError::Closed`]: the client is closed, before or meanwhile.
    /// - [`ConnectError::GaveUp`]: the attempts that `give_up_after` allows have failed. The client is
    ///   closed.
    /// - [`ConnectError::AlreadyConnecting`]: it was called before.
    ///
    /// What a single attempt fails with is reported by `on_connect_error`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and within one without I/O and time.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, it leaves the client as if it had not been called.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = socket_ipc::Client::builder("/tmp/myApp.sock").give_up_after(3).build();
    /// client.on_connect_error(|error| eprintln!("{error}"));
    /// client.connect().await?;
    /// # Ok(()) }
    /// ```
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let state = &self.handle.state;
        self.connect_by(state.establish(None, &mut Failures::up_to(state.options.give_up_after))).await
    }

    /// Connects as [`connect`](Self::connect) does, but for at most this long: for a program that has something else to
    /// do where there is no server.
    ///
    /// # Errors
    ///
    /// [`ConnectError::DeadlineExceeded`], with the error of the last attempt: the client is as before the call, and
    /// may be connected again, as `give_up_after` does not count here. And the other errors of
    /// [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::{Client, ConnectError};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = Client::new("/nowhere/to/be/found.sock");
    /// match client.connect_within(Duration::from_millis(50)).await {
    ///     Ok(()) => println!("connected"),
    ///     Err(error @ ConnectError::DeadlineExceeded { .. }) => println!("{error}; working without it"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # }
    /// ```
    pub async fn connect_within(&self, timeout: Duration) -> Result<(), ConnectError> {
        self.connect_by(self.handle.state.establish_within(timeout)).await
    }

    /// Connects by a single attempt, which takes `connect_timeout` (5 s) at most. Once it has succeeded, the client
    /// reconnects by itself, as after [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// What the attempt failed with: the client is as before the call, and may be connected again. And the errors of
    /// [`connect`](Self::connect) but for [`ConnectError::GaveUp`].
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let client = socket_ipc::Client::new("/nowhere/to/be/found.sock");
    /// if let Err(error) = client.connect_once().await {
    ///     println!("{error}; starting the server");
    /// }
    /// # }
    /// ```
    pub async fn connect_once(&self) -> Result<(), ConnectError> {
        self.connect_by(self.handle.state.establish_once()).await
    }

    /// Connects by what `establish` makes. If it fails, or this is dropped, the client may connect again.
    async fn connect_by(
        &self,
        establish: impl Future<Output = Result<Connected, ConnectError>>,
    ) -> Result<(), ConnectError> {
        let state = &self.handle.state;
        let path = || state.options.path.clone();
        let starting = state.core.lifecycle.start().map_err(|phase| match phase {
            Phase::Closing | Phase::Closed => ConnectError::Closed { path: path() },
            _ => ConnectError::AlreadyConnecting { path: path() },
        })?;
        if let Some(error) = state.invalid_options() {
            return Err(error);
        }
        let connected = match establish.instrument(state.span().clone()).await {
            Ok(connected) => connected,
            Err(error) => {
                if matches!(error, ConnectError::GaveUp { .. }) {
                    state.close();
                }
                return Err(error);
            }
        };
        let Some(link) = state.connected(false) else {
            return Err(ConnectError::Closed { path: path() });
        };
        drop(starting);
        state.keep(connected, link);
        Ok(())
    }

    /// Returns a handle to the client: cheap to clone, for use inside listeners and elsewhere.
    ///
    /// ```
    /// use socket_ipc::Client;
    ///
    /// let client = Client::new("/tmp/myApp.sock");
    /// let server = client.handle();
    /// client.on_topic("ping", move |message| {
    ///     if let Err(error) = server.send_raw("pong", &message) {
    ///         eprintln!("{error}");
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn handle(&self) -> ClientHandle<P> {
        self.handle.clone()
    }
}

impl<P> Deref for Client<P> {
    type Target = ClientHandle<P>;

    fn deref(&self) -> &ClientHandle<P> {
        &self.handle
    }
}

impl<P> Drop for Client<P> {
    fn drop(&mut self) {
        self.handle.state.abandon();
    }
}

impl<P> fmt::Debug for Client<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt_as("Client", f)
    }
}
