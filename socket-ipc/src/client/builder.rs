//! The options of a client.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Client, Connector};
use crate::endpoint::options::{ClientOptions, common_options};
use crate::limits::delay::Delay;
use crate::topic::direction::AnyTopic;
use crate::wire::Wire;

/// Sets the options of a client before it is made. [`limits`](crate::limits) has their defaults in one table.
///
/// ```
/// use socket_ipc::{Client, Wire};
/// use std::time::Duration;
///
/// let client = Client::builder("/tmp/myApp.sock")
///     .wire(Wire::NODE_0_4)
///     .retry_delay(Duration::from_secs(2))
///     .reconnect_delay(Duration::from_millis(50)..Duration::from_millis(500))
///     .connect_timeout(Duration::from_secs(1))
///     .give_up_after(10)
///     .expect_server_user(1000)
///     .build();
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ClientBuilder<P = AnyTopic> {
    pub(crate) options: ClientOptions,
    connector: Connector,
    protocol: PhantomData<fn() -> P>,
}

common_options!(ClientBuilder);

impl<P> ClientBuilder<P> {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            options: ClientOptions::new(path),
            connector: Connector::Path(OnceLock::new()),
            protocol: PhantomData,
        }
    }

    /// Sets how long to wait between attempts to connect: [`limits::RETRY_DELAY`](crate::limits::RETRY_DELAY)
    /// (1 to 1.25 s) unless set.
    pub fn retry_delay(mut self, delay: impl Into<Delay>) -> Self {
        self.options.retry_delay = delay.into();
        self
    }

    /// Sets how long to wait before the first attempt after a connection was lost:
    /// [`limits::RECONNECT_DELAY`](crate::limits::RECONNECT_DELAY) (100 to 200 ms) unless set.
    pub fn reconnect_delay(mut self, delay: impl Into<Delay>) -> Self {
        self.options.reconnect_delay = delay.into();
        self
    }

    /// Sets how long one attempt to connect may take:
    /// [`limits::CONNECT_TIMEOUT`](crate::limits::CONNECT_TIMEOUT) (5 s) unless set.
    ///
    /// The attempt then fails, and is made again after `retry_delay`.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// Sets after how many failed attempts in a row the client gives up and is closed: never, unless set. 0
    /// counts as 1.
    ///
    /// [`connect`](Client::connect) returns the error then; later, `on_error` reports it.
    pub fn give_up_after(mut self, attempts: u32) -> Self {
        self.options.give_up_after = Some(attempts.max(1));
        self
    }

    /// Sets the user id that the server must run as: any, unless set.
    ///
    /// The kernel reports it (`SO_PEERCRED`). If the server runs as another user, the attempt fails before anything is
    /// sent or read, and the client tries again. Set it where other users may write to the directory of the socket
    /// file, as in `/tmp`.
    pub fn expect_server_user(mut self, uid: u32) -> Self {
        self.options.expected_server_user = Some(uid);
        self
    }

    /// Sets a function that opens the connections, over any stream that reads and writes asynchronously. The path is
    /// then only a name.
    ///
    /// If the function panics, so does [`connect`](Client::connect); when a lost connection is made again, the panic
    /// is a failed attempt. A stream that panics ends its connection with [`CloseCause::Io`](crate::CloseCause::Io).
    ///
    /// [`in_memory_client`](crate::ServerHandle::in_memory_client) joins a client to a server of the same process.
    ///
    /// # Examples
    ///
    /// A client over TCP, of a server that passes what it accepts to
    /// [`serve_connection`](crate::ServerHandle::serve_connection):
    ///
    /// ```
    /// use socket_ipc::{Client, Server};
    /// use tokio::net::{TcpListener, TcpStream};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("over TCP");
    /// let mut sums = server.subscribe::<Sum>();
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let address = listener.local_addr()?;
    /// let clients = server.handle();
    /// tokio::spawn(async move {
    ///     while let Ok((stream, _address)) = listener.accept().await {
    ///         if let Err(error) = clients.serve_connection(stream) {
    ///             eprintln!("{error}");
    ///         }
    ///     }
    /// });
    ///
    /// let client = Client::builder("over TCP").connector(move || TcpStream::connect(address)).build();
    /// client.connect().await?;
    /// client.send(&Sum(3))?;
    /// assert_eq!(sums.next().await.map(|(sum, _client_id)| sum), Some(Sum(3)));
    /// # Ok(()) }
    /// #
    /// # #[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    /// # #[topic = "sum"]
    /// # struct Sum(u64);
    /// ```
    pub fn connector<S, F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        self.connector = Connector::custom(open, None);
        self
    }

    /// Sets a function that opens connections to a server of this process, which runs as `server_user`.
    pub(crate) fn in_process<S, F>(
        mut self,
        server_user: u32,
        open: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        self.connector = Connector::custom(open, Some(server_user));
        self
    }

    /// Makes the client.
    #[must_use]
    pub fn build(self) -> Client<P> {
        Client::with_options(self.options, self.connector)
    }
}

impl<P> fmt::Debug for ClientBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
