//! The blocking client.

use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::messages::Messages;
use super::thread::Thread;
use super::wait::{deadline, wait, wait_until};
use crate::client::{self, ClientBuilder, ClientConnectionEvent, ClientHandle};
use crate::connection::ReplyFuture;
use crate::error::{ConnectError, FlushError, RequestError, SendError};
use crate::limits::LINGER;
use crate::topic::direction::{AnyTopic, ToClient, ToServer};
use crate::topic::{Request, Topic};
use crate::wire::raw_message::RawMessage;

/// A client whose calls wait: [`Client`](crate::Client) for scripts, tests and threads, without a runtime of the
/// program.
///
/// It wraps the asynchronous client, with the same limits, reconnects and guarantees; the [module](super) has the
/// chapter. All methods may be called from several threads: share it by reference or in an [`Arc`].
///
/// Making one touches nothing; [`connect`](Self::connect) starts its thread and connects. [`close`](Self::close) drains
/// the queue and closes it. Dropping it does the same if something is queued, for `drain` (5 s) at most, so that a
/// script loses nothing that it has sent. With nothing queued a drop ends it at once, waits for nothing, and reports no
/// event. A drop inside one of its own listeners can't wait: what is queued then is lost, and a `tracing` warning says
/// how much.
///
/// # Panics
///
/// Every method that waits (`connect`, `send`, `request`, `flush`, `close` and their like) panics inside a listener of
/// the same client, whose thread would wait for itself. `on_error` reports the panic, as that of any listener. A
/// listener sends with a [`handle`](Self::handle).
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Topic, blocking};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello { name: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "greeting"]
/// struct Greeting { text: String }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = blocking::Client::new("/tmp/myApp.sock");
/// let mut greetings = client.subscribe::<Greeting>();
/// client.connect()?;
/// client.send(&Hello { name: "crussell52".into() })?;
/// if let Some(Greeting { text }) = greetings.next() {
///     println!("{text}");
/// }
/// client.close();
/// # Ok(()) }
/// ```
///
/// # With options, and with a protocol
///
/// [`build_blocking`](ClientBuilder::build_blocking) makes one from any [`ClientBuilder`]: with every option, and with the
/// protocol `P` of [`Protocol::client`](crate::Protocol::client).
pub struct Client<P = AnyTopic> {
    // Dropped before its thread ends.
    client: Arc<client::Client<P>>,
    thread: Thread,
    path: PathBuf,
    request_timeout: Duration,
    drain: Duration,
}

impl Client {
    /// Makes a client of the server at `path`, with the default options.
    ///
    /// Never fails and touches nothing: an invalid path is an error of [`connect`](Self::connect).
    ///
    /// ```
    /// let client = socket_ipc::blocking::Client::new("/tmp/myApp.sock");
    /// ```
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        crate::Client::builder(path).build_blocking()
    }
}

/// # Waiting instead of awaiting
impl<P> ClientBuilder<P> {
    /// Makes a client whose calls wait: [`blocking::Client`](Client). Needs the feature `blocking`.
    ///
    /// ```
    /// use socket_ipc::{Client, Wire, blocking};
    ///
    /// let client: blocking::Client = Client::builder("/tmp/nodeApp.sock").wire(Wire::NODE_0_4).build_blocking();
    /// ```
    #[must_use]
    pub fn build_blocking(self) -> Client<P> {
        let (path, limits) = (self.options.path.clone(), &self.options.limits);
        let (request_timeout, drain) = (limits.request_timeout, limits.drain);
        Client { client: Arc::new(self.build()), thread: Thread::default(), path, request_timeout, drain }
    }
}

/// # Connecting
impl<P: 'static> Client<P> {
    /// Connects: tries every `retry_delay` until there is a connection, however long that takes.
    ///
    /// When it returns, the listeners of `on_connect` have been called. The client reconnects by itself after a
    /// connection is lost.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`](crate::Client::connect), and [`ConnectError::Thread`]: the client's thread could
    /// not be started.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    pub fn connect(&self) -> Result<(), ConnectError> {
        self.connecting(None)
    }

    /// Connects as [`connect`](Self::connect) does, but for at most this long.
    ///
    /// # Errors
    ///
    /// [`ConnectError::DeadlineExceeded`], with the error of the last attempt: the client is as if this had not been
    /// called, and this may be called again. And those of [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::{ConnectError, blocking};
    /// use std::time::Duration;
    ///
    /// let client = blocking::Client::new("/nowhere/to/be/found.sock");
    /// match client.connect_within(Duration::from_millis(50)) {
    ///     Ok(()) => println!("connected"),
    ///     Err(error @ ConnectError::DeadlineExceeded { .. }) => {
    ///         let text = error.to_string();
    ///         assert!(text.starts_with("cannot connect to /nowhere/to/be/found.sock: no connection within 50ms"));
    ///     }
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    pub fn connect_within(&self, timeout: Duration) -> Result<(), ConnectError> {
        self.connecting(Some(timeout))
    }

    fn connecting(&self, within: Option<Duration>) -> Result<(), ConnectError> {
        self.thread.own().must_not_wait();
        let path = || self.path.clone();
        let runtime = self
            .thread
            .runtime(self.client.closed())
            .map_err(|cause| ConnectError::Thread { path: path(), cause })?;
        let (client, target) = (Arc::clone(&self.client), path());
        // On the client's thread from the first attempt on. The runtime can't end while this runs: closing the client
        // ends it.
        let connecting = runtime.spawn(async move {
            match within {
                Some(within) => connect_within(&client, target, within).await,
                None => client.connect().await,
            }
        });
        match wait(connecting) {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                // The user's code panicked: without the thread it would have panicked here.
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(ConnectError::Closed { path: path() }),
            },
        }
    }
}

async fn connect_within<P>(
    client: &client::Client<P>,
    path: PathBuf,
    within: Duration,
) -> Result<(), ConnectError> {
    let mut events = client.connection_events();
    let mut last = None;
    let mut connecting = pin!(timeout(within, client.connect()));
    loop {
        let outcome = tokio::select! {
            biased;
            Some(event) = events.next() => {
                if let ClientConnectionEvent::ConnectFailed(error) = event {
                    last = Some(error);
                }
                continue;
            }
            outcome = &mut connecting => outcome,
        };
        return outcome.unwrap_or(Err(ConnectError::DeadlineExceeded { path, timeout: within, cause: last }));
    }
}

/// # Sending
impl<P> Client<P> {
    /// Queues a message for the server. Waits while the outbox holds more than
    /// [`limits::OUTBOX_HIGH_WATER`](crate::limits::OUTBOX_HIGH_WATER) (64 KiB) or has no room.
    ///
    /// The wait ends when the server has read enough, or when it has read nothing for `write_stall` (10 s), which ends
    /// the connection. [`send`](ClientHandle::send) of a [`handle`](Self::handle) never waits. `Ok` means queued, as it
    /// does there: [`flush`](Self::flush) and [`close`](Self::close) wait until the kernel has the message.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `NotConnected`, also if the connection ends meanwhile, `Closed`, `TooLarge`, `TopicTooLong`,
    /// `Encode` or `EncodePanicked`. Nothing is queued then.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{SendError, Topic, blocking};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "row"]
    /// struct Row(u64);
    ///
    /// fn export(client: &blocking::Client) -> Result<(), SendError> {
    ///     for number in 0..1_000_000 {
    ///         client.send(&Row(number))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn send<T>(&self, message: &T) -> Result<(), SendError>
    where
        P: ToServer<T>,
        T: Topic + Serialize,
    {
        self.thread.own().must_not_wait();
        wait(self.client.send_async(message))
    }

    /// Queues any value for the server under a topic known only at run time; an empty one becomes `none`. Waits as
    /// [`send`](Self::send) does.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    pub fn send_raw<M: Serialize + ?Sized>(&self, topic: &str, message: &M) -> Result<(), SendError> {
        self.thread.own().must_not_wait();
        wait(self.client.send_raw_async(topic, message))
    }

    /// Waits until everything queued so far has been handed to the kernel. Does not wait for what is queued meanwhile.
    ///
    /// That does not mean that the server has received it: the server may end before it reads.
    ///
    /// # Errors
    ///
    /// [`FlushError`]: there is no connection, or it ended first.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send_raw("farewell", &"so long")?;
    /// client.flush()?;
    /// # Ok(()) }
    /// ```
    pub fn flush(&self) -> Result<(), FlushError> {
        self.thread.own().must_not_wait();
        wait(self.client.flush())
    }
}

/// # Requesting
impl<P> Client<P> {
    /// Sends a request to the server and waits for the reply, for at most `request_timeout`
    /// ([`limits::REQUEST_TIMEOUT`](crate::limits::REQUEST_TIMEOUT), 10 s, unless set).
    ///
    /// Several threads may send requests at once; each gets its own reply.
    ///
    /// # Errors
    ///
    /// Those of [`ClientHandle::request`], known as soon as they can be: there is no responder, the responder fails,
    /// the connection is lost, the time is over.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{RequestError, Topic, blocking};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = Sum)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "sum"]
    /// struct Sum(i64);
    ///
    /// # fn example(client: blocking::Client) -> Result<(), RequestError> {
    /// let Sum(five) = client.request(&Add { left: 2, right: 3 })?;
    /// # Ok(()) }
    /// ```
    pub fn request<T>(&self, request: &T) -> Result<T::Reply, RequestError>
    where
        P: ToServer<T> + ToClient<T::Reply>,
        T: Request + Serialize,
        T::Reply: DeserializeOwned,
    {
        self.request_within(request, self.request_timeout)
    }

    /// Sends a request to the server and waits for the reply, for at most this long.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{RequestError, Topic, blocking};
    /// # use std::time::Duration;
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "report", reply = Report)] struct MakeReport;
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic = "report is"] struct Report(String);
    /// # fn example(client: blocking::Client) -> Result<(), RequestError> {
    /// let Report(text) = client.request_within(&MakeReport, Duration::from_secs(60))?;
    /// # Ok(()) }
    /// ```
    pub fn request_within<T>(&self, request: &T, timeout: Duration) -> Result<T::Reply, RequestError>
    where
        P: ToServer<T> + ToClient<T::Reply>,
        T: Request + Serialize,
        T::Reply: DeserializeOwned,
    {
        self.wait_for_reply(T::NAME, timeout, || self.client.request(request))
    }

    /// Sends any value as a request under a topic known only at run time, and waits for the reply's JSON text, for at
    /// most `request_timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let sum: i64 = client.request_raw("add", &[2, 3])?.decode()?;
    /// # Ok(()) }
    /// ```
    pub fn request_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
    ) -> Result<RawMessage<'static>, RequestError> {
        self.request_raw_within(topic, request, self.request_timeout)
    }

    /// Sends any value as a request under a topic known only at run time, and waits for the reply's JSON text, for at
    /// most this long.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    pub fn request_raw_within<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        request: &M,
        timeout: Duration,
    ) -> Result<RawMessage<'static>, RequestError> {
        self.wait_for_reply(topic, timeout, || self.client.request_raw(topic, request))
    }

    fn wait_for_reply<R>(
        &self,
        topic: &str,
        timeout: Duration,
        request: impl FnOnce() -> ReplyFuture<R>,
    ) -> Result<R, RequestError> {
        self.thread.own().must_not_wait();
        let deadline = deadline(timeout);
        // The deadline is kept here: the future's own needs the runtime, which ends when the client is closed.
        wait_until(deadline, request().timeout(Duration::MAX))
            .unwrap_or_else(|| Err(RequestError::Timeout { topic: topic.to_owned(), timeout }))
    }
}

/// # Listening
impl<P> Client<P> {
    /// Subscribes to the messages of type `T`: an iterator that waits for them. It misses messages that arrive before
    /// it is made, so make it before [`connect`](Self::connect).
    ///
    /// A message that does not decode into `T` is reported by [`on_message_error`](ClientHandle::on_message_error) of
    /// the [`handle`](Self::handle), and skipped. [`Messages`] has an example.
    pub fn subscribe<T>(&self) -> Messages<T>
    where
        P: ToClient<T>,
        T: Topic + DeserializeOwned + Send + 'static,
    {
        Messages::new(self.client.subscribe::<T>(), Some(T::NAME), self.thread.own().clone())
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

/// # Closing
impl<P> Client<P> {
    /// Closes the client, for good, and waits until it is closed.
    ///
    /// What is queued is written, for `drain` (5 s) at most. The connection ends once the server has closed its end,
    /// too, or a second later. Calls that wait for a message or a reply return. It may be called in every state, and
    /// any number of times; [`ClientHandle::close`] begins the same without waiting for its end. It waits for a
    /// listener that keeps the client's thread busy.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send_raw("farewell", &"so long")?;
    /// client.close(); // it has been handed to the kernel, or `on_disconnect` has said that it was not
    /// # Ok(()) }
    /// ```
    pub fn close(&self) {
        self.thread.own().must_not_wait();
        wait(self.client.close());
    }
}

impl<P> Drop for Client<P> {
    fn drop(&mut self) {
        // The client's own thread would wait for itself.
        if self.client.has_unsent() && !self.thread.own().is_current() {
            // No longer than `close`, although a listener may block the thread.
            let longest = self.drain.saturating_add(LINGER);
            wait_until(deadline(longest), self.client.close());
        }
    }
}

impl<P> fmt::Debug for Client<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::Client").field(&self.client).finish()
    }
}
