//! The items of a stream as an iterator that waits.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

use super::thread::Own;
use super::wait::{deadline, wait_until};
use crate::connection;
use crate::error::RequestError;
use crate::error::error_reply::ErrorReply;

/// The items of a stream that was requested, as an iterator of `Result<I, RequestError<E>>` that waits for the next one:
/// what [`request_stream`](super::Client::request_stream) and
/// [`request_stream_raw`](super::Client::request_stream_raw) return.
///
/// The request is sent when the iterator first waits: by [`started`](Self::started), or for the first item. It ends with
/// `None` when the responder's stream ends. Every other end is one last error: the responder failed, the topic has no
/// responder, the connection is lost, the client is closed or dropped. The responder sends no more than the
/// [`window`](Self::window) ahead of this iterator; the asynchronous [`ReplyStream`](crate::ReplyStream) says how.
///
/// Dropping it cancels the request: the peer is told, and drops the responder's stream at once.
///
/// # Panics
///
/// Waiting panics inside a listener of the same client, whose thread would wait for itself.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Topic, blocking};
/// use std::time::Duration;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "follow", stream = String)]
/// struct Follow { job: u64 }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = blocking::Client::new("/tmp/myApp.sock");
/// client.connect()?;
/// for line in client.request_stream(&Follow { job: 7 }).idle_timeout(Duration::from_secs(60)) {
///     println!("{}", line?);
/// }
/// # Ok(()) }
/// ```
#[must_use = "the request is sent when the iterator first waits"]
pub struct ReplyStream<I, E = ErrorReply> {
    /// `None` once the stream has ended.
    items: Option<connection::ReplyStream<I, E>>,
    topic: Box<str>,
    /// The deadlines are kept here: those of the asynchronous stream need the client's thread, which a listener may
    /// block.
    timeout: Duration,
    idle_timeout: Option<Duration>,
    has_started: bool,
    own: Own,
}

impl<I, E> ReplyStream<I, E> {
    pub(super) fn new(
        items: connection::ReplyStream<I, E>,
        topic: &str,
        timeout: Duration,
        own: Own,
    ) -> Self {
        let items = Some(items.timeout(Duration::MAX));
        Self { items, topic: topic.into(), timeout, idle_timeout: None, has_started: false, own }
    }

    /// Sets how many bytes of items may lie unread:
    /// [`limits::STREAM_WINDOW`](crate::limits::STREAM_WINDOW) (256 KiB) unless set here or by `stream_window` of the
    /// builder. It has no effect once the request is sent.
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) {
    /// let names = client.request_stream_raw("list", &()).window(1024 * 1024);
    /// # }
    /// ```
    pub fn window(mut self, bytes: u64) -> Self {
        self.items = self.items.map(|items| items.window(bytes));
        self
    }

    /// Sets how long the responder may take to begin: `request_timeout` unless set. After that a stream may be silent
    /// for any time, unless [`idle_timeout`](Self::idle_timeout) is set.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(client: socket_ipc::blocking::Client) {
    /// let names = client.request_stream_raw("list", &()).timeout(Duration::from_secs(60));
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long each item may take, from when it is waited for: any time unless set. The type has an example.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// Sends the request, if that was not done, and waits until the responder has begun to reply.
    ///
    /// # Errors
    ///
    /// [`RequestError`], if there is no responder, or it fails before it has begun. Then the stream has ended.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut lines = client.request_stream_raw("follow", &7);
    /// lines.started()?;
    /// println!("the job is there");
    /// for line in lines {
    ///     println!("{}", line?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn started(&mut self) -> Result<(), RequestError<E>> {
        self.own.must_not_wait();
        let Some(items) = self.items.as_mut().filter(|_| !self.has_started) else { return Ok(()) };
        match wait_until(deadline(self.timeout), items.started()) {
            Some(outcome) => {
                self.has_started = outcome.is_ok();
                outcome
            }
            None => Err(self.timed_out(self.timeout)),
        }
    }

    /// Ends the stream, which cancels the request.
    fn timed_out(&mut self, timeout: Duration) -> RequestError<E> {
        self.items = None;
        RequestError::Timeout { topic: self.topic.to_string(), timeout }
    }
}

impl<I, E> Iterator for ReplyStream<I, E> {
    type Item = Result<I, RequestError<E>>;

    /// Waits for the next item; `None` once the stream has ended. An error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.started() {
            return Some(Err(error));
        }
        let items = self.items.as_mut()?;
        let deadline = self.idle_timeout.and_then(deadline);
        match wait_until(deadline, items.next()) {
            Some(item) => item,
            None => self.idle_timeout.map(|timeout| Err(self.timed_out(timeout))),
        }
    }
}

impl<I, E> FusedIterator for ReplyStream<I, E> {}

impl<I, E: fmt::Debug> fmt::Debug for ReplyStream<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("topic", &self.topic)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}
