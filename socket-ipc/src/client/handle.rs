//! A client's handle: sends, tells about the connection and counts, and closes, from anywhere.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::state::State;
use crate::connection::Closing;
use crate::endpoint::{Endpoint, closing, send};
use crate::error::{FlushError, SendError};
use crate::metrics::stats::Stats;
use crate::topic::direction::{AnyTopic, ToServer};
use crate::topic::{Topic, TopicName};

/// A handle to a client, for its listeners and the rest of the program: attaches listeners, sends, tells whether it is
/// connected, closes.
///
/// Cheap to clone. It keeps neither the client nor a listener alive, so a listener may own one. Once the
/// client is closed or dropped, sending is [`SendError::Closed`].
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello {
///     name: String,
/// }
///
/// let client = Client::new("/tmp/myApp.sock");
/// let server = client.handle();
/// client.on_connect(move || {
///     if let Err(error) = server.send(&Hello { name: "crussell52".into() }) {
///         eprintln!("{error}");
///     }
/// });
/// ```
pub struct ClientHandle<P = AnyTopic> {
    pub(super) state: Arc<State>,
    protocol: PhantomData<fn() -> P>,
}

impl<P> ClientHandle<P> {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state, protocol: PhantomData }
    }

    /// Queues a message for the server. Never waits; may be called from any thread, with or without a
    /// runtime.
    ///
    /// `Ok` means queued: the message arrives, or the connection ends and its reason says how much was lost.
    /// Nothing is queued while there is no connection.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `NotConnected`, `Closed`, `TooLarge`, `TopicTooLong`, `Encode`, `EncodePanicked`, or
    /// `OutboxFull`, after which the connection lives. Nothing is queued then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{ClientHandle, SendError, Topic};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "hello"]
    /// struct Hello { name: String }
    ///
    /// fn introduce(client: &ClientHandle) -> Result<(), SendError> {
    ///     client.send(&Hello { name: "crussell52".into() })
    /// }
    /// ```
    pub fn send<T>(&self, message: &T) -> Result<(), SendError>
    where
        P: ToServer<T>,
        T: Topic + Serialize,
    {
        send::send(&*self.state, TopicName::OfType(T::NAME), message, ())
    }

    /// Queues a message for the server once little is queued: while the outbox holds more than
    /// [`limits::OUTBOX_HIGH_WATER`](crate::limits::OUTBOX_HIGH_WATER) (64 KiB), or has no room, it waits.
    ///
    /// If both peers wait in listeners until the other one reads, neither of them reads: the connection then ends after
    /// `write_stall`.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send) except `OutboxFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, nothing was queued.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{ClientHandle, SendError, Topic};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "row"]
    /// struct Row(u64);
    ///
    /// async fn export(client: ClientHandle) -> Result<(), SendError> {
    ///     for number in 0..1_000_000 {
    ///         client.send_async(&Row(number)).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn send_async<T>(&self, message: &T) -> Result<(), SendError>
    where
        P: ToServer<T>,
        T: Topic + Serialize,
    {
        send::send_async(&*self.state, TopicName::OfType(T::NAME), message, ()).await
    }

    /// Queues any value for the server under a topic known only at run time; an empty one becomes `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send).
    pub fn send_raw<M: Serialize + ?Sized>(&self, topic: &str, message: &M) -> Result<(), SendError> {
        send::send(&*self.state, TopicName::AtRunTime(topic), message, ())
    }

    /// Queues any value as [`send_raw`](Self::send_raw) does, once little is queued, as
    /// [`send_async`](Self::send_async) does.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send) except `OutboxFull`.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, nothing was queued.
    pub async fn send_raw_async<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<(), SendError> {
        send::send_async(&*self.state, TopicName::AtRunTime(topic), message, ()).await
    }

    /// Waits until all that was queued has been handed to the kernel. It does not wait for what is queued meanwhile.
    ///
    /// What was handed to the kernel may not reach the server: it may end before it reads.
    ///
    /// # Errors
    ///
    /// [`FlushError`]: there is no connection, or it ended before.
    ///
    /// # Cancel safety
    ///
    /// It only waits, and may be dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: socket_ipc::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send_raw("farewell", &"so long")?;
    /// client.flush().await?;
    /// # Ok(()) }
    /// ```
    pub async fn flush(&self) -> Result<(), FlushError> {
        let lost = || FlushError { path: self.state.options.path.clone() };
        let link = self.state.link().ok_or_else(lost)?;
        link.outbox.flush().await.map_err(|_| lost())
    }

    /// Says whether there is a connection to send over. It may end the moment after: what counts is what `send`
    /// returns.
    ///
    /// ```
    /// assert!(!socket_ipc::Client::new("/tmp/myApp.sock").is_connected());
    /// ```
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state.link().is_some()
    }

    /// Whether something is queued that was not handed to the kernel, also while the client is closing.
    #[cfg(feature = "blocking")]
    pub(crate) fn has_unsent(&self) -> bool {
        self.state.outbox().is_some_and(|outbox| !outbox.is_empty())
    }

    /// Returns what has been counted since the client was made: messages and bytes by topic, errors, what is queued.
    /// Counting is always on; [`Stats`] has an example.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.core.stats(self.is_connected().into(), &self.state.outboxes())
    }

    /// Closes the client, for good.
    ///
    /// Closing begins at the call; the returned future waits for its end. No further message listener starts. The queue
    /// is written, for `drain` at most; meanwhile incoming bytes are read and discarded. The connection ends when the
    /// server has closed its end, too, or a second later. `on_close` is called last. A running asynchronous listener
    /// may finish within the drain, unless it awaits the closing itself. Streams end at once, and their requesters get
    /// an error reply ([`CLOSING`](crate::ErrorReply::CLOSING)). Attempts to connect are given up.
    ///
    /// It may be called in every state, inside listeners, and any number of times.
    pub fn close(&self) -> Closing {
        self.state.close();
        self.closed()
    }

    /// Waits until the client is closed, by this handle or another, or dropped.
    pub fn closed(&self) -> Closing {
        closing::closed(&self.state)
    }

    /// Waits until the client begins to close. A listener or a responder that waits for something else can end once
    /// this resolves, and so end the drain early.
    pub async fn closing(&self) {
        closing::begun(&self.state).await;
    }

    /// The endpoint itself, for what is the same on servers and clients.
    pub(crate) fn endpoint(&self) -> &Arc<impl Endpoint<Peer = ()> + use<P>> {
        &self.state
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("path", &self.state.options.path)
            .field("phase", &self.state.core.lifecycle.phase())
            .finish_non_exhaustive()
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for ClientHandle<P> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

impl<P> fmt::Debug for ClientHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("ClientHandle", f)
    }
}
