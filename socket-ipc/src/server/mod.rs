//! The server, and what a program holds of it.

mod accept;
mod admit;
mod authorize;
mod broadcast;
mod builder;
mod clients;
mod connection_events;
mod describe;
mod events;
mod groups;
mod handle;
mod in_memory;
mod latest;
mod listeners;
mod ordered_events;
mod per_client;
mod recipients;
#[cfg(feature = "nats")]
mod remote;
mod requests;
mod send;
mod socket;
mod state;
mod streams;
mod watch;

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use crate::endpoint::lifecycle::Phase;
use crate::endpoint::options::ServerOptions;
use crate::error::ListenError;
use crate::topic::direction::AnyTopic;
use crate::unix_socket::activation::why_not_listening;
use crate::unix_socket::socket_file::{self, Access, PassedFile};

pub use builder::ServerBuilder;
pub use connection_events::ServerConnectionEvent;
pub use groups::ClientGroup;
#[cfg(feature = "nats")]
pub(crate) use groups::cluster::WatchGroups;
pub use handle::{AsyncListener, ServerHandle};
pub use latest::Delivery;
pub use ordered_events::ServerEvent;
pub use per_client::PerClient;
pub use requests::{AsyncResponder, Responder};
use state::State;
pub use streams::StreamResponder;

/// The server of a socket: listens, receives from its clients and sends to them.
///
/// Listeners are attached and messages sent through the methods of [`ServerHandle`], all of which a server
/// has too.
///
/// Making one touches nothing; [`listen`](Self::listen) binds the path. [`close`](ServerHandle::close) ends
/// it in good order; dropping it ends it at once: connections are aborted, nothing more is written, no event is
/// reported, the socket file goes.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello {
///     name: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("socket-ipc-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("myApp.sock");
/// let server = Server::new(&path);
/// server.on::<Hello>(|msg, client_id| println!("client {client_id} is {}", msg.name));
/// server.listen().await?;
///
/// let client = Client::new(&path);
/// client.connect().await?;
/// client.send(&Hello { name: "crussell52".into() })?;
/// client.close().await;
/// server.close().await;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(()) }
/// ```
/// # With a protocol
///
/// `P` says which topics travel in which direction. [`AnyTopic`], which is what [`Server::new`] makes, lets every topic
/// travel both ways; [`Protocol::server`](crate::Protocol::server) makes a server of a protocol.
///
/// The [book](crate::guide) has a chapter for each subject, among them [messaging](crate::guide::messaging) and
/// [deployment](crate::guide::deployment).
pub struct Server<P = AnyTopic> {
    handle: ServerHandle<P>,
}

impl Server {
    /// Makes a server for the socket at `path`, with the default options.
    ///
    /// Never fails and touches nothing: a path that can't be a socket's is an error of
    /// [`listen`](Self::listen).
    ///
    /// ```
    /// let server = socket_ipc::Server::new("/tmp/myApp.sock");
    /// ```
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self::builder(path).build()
    }

    /// Begins a server for the socket at `path` whose options are set before it is made.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::builder("/tmp/myApp.sock").mode(0o660).max_clients(100).build();
    /// ```
    pub fn builder(path: impl AsRef<Path>) -> ServerBuilder {
        ServerBuilder::new(path.as_ref().to_owned())
    }

    /// Makes a server for a socket that another process has bound and listens on: a service manager, or a parent
    /// process.
    ///
    /// Its file belongs to that process, and is never removed; one that goes is reported by `on_error`, and not bound
    /// again. [`activated_listener`](crate::activated_listener) takes the one that systemd passed;
    /// [`ServerBuilder::listener`] is the same with options.
    ///
    /// ```
    /// use socket_ipc::{Server, activated_listener};
    ///
    /// # fn example() -> std::io::Result<()> {
    /// let server = match activated_listener()? {
    ///     Some(listener) => Server::from_listener(listener),
    ///     None => Server::new("/run/myApp.sock"),
    /// };
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn from_listener(listener: std::os::unix::net::UnixListener) -> Self {
        let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
        Self::builder(path.unwrap_or_default()).listener(listener).build()
    }
}

impl<P> Server<P> {
    fn with_options(options: ServerOptions, inherited: Option<std::os::unix::net::UnixListener>) -> Self {
        let state = State::new(options, inherited);
        describe::respond(&state);
        Self { handle: ServerHandle::new(state) }
    }

    /// Binds the path and begins to accept clients. They can connect once this resolves.
    ///
    /// An abandoned socket file is reclaimed. The file has its mode before a client can connect. It must be
    /// called within a tokio runtime with I/O and time enabled, on which the server then runs.
    ///
    /// # Errors
    ///
    /// - [`ListenError::InvalidPath`]: empty, with a NUL byte, or over 107 bytes.
    /// - [`ListenError::AddrInUse`]: a server is alive at the path.
    /// - [`ListenError::NotASocket`]: something else is there; it is left alone.
    /// - [`ListenError::NoDirectory`]: the directory of the path does not exist.
    /// - [`ListenError::Lock`], [`ListenError::Io`]: the lock file or an operating system call is in the way.
    /// - [`ListenError::Mode`], [`ListenError::Group`]: the socket file can't have the mode or the group that the options name.
    /// - [`ListenError::NotListening`]: the socket that was passed is connected, or only bound.
    /// - [`ListenError::AlreadyListening`], [`ListenError::Closed`]: it was called before, or the server is
    ///   closed.
    ///
    /// After an error of the path it may be called again.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and within one without I/O and time.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, it leaves the server as if it had not been called.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = socket_ipc::Server::new("/tmp/myApp.sock");
    /// server.on_listening(|| println!("listening"));
    /// server.listen().await?;
    /// server.closed().await;
    /// # Ok(()) }
    /// ```
    pub async fn listen(&self) -> Result<(), ListenError> {
        let state = &self.handle.state;
        let path = || state.options.path.clone();
        let _starting = state.core.lifecycle.start().map_err(|phase| match phase {
            Phase::Closing | Phase::Closed => ListenError::Closed { path: path() },
            _ => ListenError::AlreadyListening { path: path() },
        })?;
        let io = |cause| ListenError::Io { path: path(), action: "use the socket that was passed", cause };
        let group = state.find_groups().await?;
        let Some(inherited) = state.socket.inherited().map_err(io)? else {
            let access = Access { mode: state.options.mode, group };
            let (listener, socket) = socket_file::bind(&state.options.path, access).await?;
            return state.accept_on(listener, Some(socket), None);
        };
        if let Some(found) = why_not_listening(&inherited).map_err(io)? {
            return Err(ListenError::NotListening { path: path(), found });
        }
        // Its own name, which is what clients connect by.
        let address = inherited.local_addr().ok();
        let passed_file = address.as_ref().and_then(|address| address.as_pathname()).and_then(PassedFile::at);
        inherited.set_nonblocking(true).map_err(io)?;
        state.accept_on(tokio::net::UnixListener::from_std(inherited).map_err(io)?, None, passed_file)
    }

    /// Listens and serves until `signal` resolves, then closes, and returns once the server is closed: the main function
    /// of a daemon.
    ///
    /// `signal` is any future: `shutdown_signal` of the feature `signal`, a
    /// [`oneshot`](tokio::sync::oneshot::Receiver), [`ServerHandle::closing`] of another server. It returns likewise
    /// once the server is closed by a handle. Closing writes what is queued, and takes `drain` (5 s) at most;
    /// [`close`](ServerHandle::close) says what else it does. Handlers that can stop early wait for
    /// [`closing`](ServerHandle::closing).
    ///
    /// # Errors
    ///
    /// The errors of [`listen`](Self::listen), which ends before `signal` is waited for.
    ///
    /// # Panics
    ///
    /// As [`listen`](Self::listen).
    ///
    /// # Cancel safety
    ///
    /// If it is dropped while the server listens, the server goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::Server;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("socket-ipc-doc-until-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("myApp.sock");
    /// let server = Server::new(&path);
    /// server.listen_until(tokio::time::sleep(Duration::from_millis(10))).await?;
    /// assert!(!path.exists());
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(()) }
    /// ```
    pub async fn listen_until(&self, signal: impl Future) -> Result<(), ListenError> {
        self.listen().await?;
        tokio::select! {
            _ = signal => {}
            () = self.handle.closing() => {}
        }
        self.handle.close().await;
        Ok(())
    }

    /// Returns a handle to the server: cheap to clone, for use inside listeners and elsewhere.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// let others = server.handle();
    /// server.on_connection(move |client_id| {
    ///     if let Err(error) = others.send_raw("welcome", &others.clients().len(), client_id) {
    ///         eprintln!("{error}");
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn handle(&self) -> ServerHandle<P> {
        self.handle.clone()
    }
}

impl<P> Deref for Server<P> {
    type Target = ServerHandle<P>;

    fn deref(&self) -> &ServerHandle<P> {
        &self.handle
    }
}

impl<P> Drop for Server<P> {
    fn drop(&mut self) {
        self.handle.state.abandon();
    }
}

impl<P> fmt::Debug for Server<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt_as("Server", f)
    }
}
