//! The blocking client.

mod connect;
mod listeners;
mod requests;
mod send;
mod streams;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::thread::Thread;
use super::wait::{deadline, wait, wait_until};
use crate::client::{self, ClientBuilder};
use crate::limits::LINGER;
use crate::topic::direction::AnyTopic;

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
/// [`build_blocking`](ClientBuilder::build_blocking) makes one from any [`ClientBuilder`]: with every option, and with
/// the protocol `P` of [`Protocol::client`](crate::Protocol::client).
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

/// # Closing
impl<P> Client<P> {
    /// Closes the client, for good, and waits until it is closed.
    ///
    /// What is queued is written, for `drain` (5 s) at most. The connection ends once the server has closed its end,
    /// too, or a second later. Calls that wait for a message or a reply return. It may be called in every state, and
    /// any number of times; [`ClientHandle::close`](crate::ClientHandle::close) begins the same without waiting for its
    /// end. It waits for a listener that keeps the client's thread busy.
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
            // No longer than `close` may take: a listener may block the client's thread.
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
