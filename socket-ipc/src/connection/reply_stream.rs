//! The reply to a request that is a stream of items.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use tokio::task::consume_budget;

use super::Limits;
use super::open_stream::{OpenStream, ReadItems, StreamOptions};
use crate::error::RequestError;
use crate::error::error_reply::ErrorReply;

/// The items of a stream that was requested: a `Stream` of `Result<I, RequestError<E>>`, which `request_stream` returns.
///
/// `request_stream` encodes the request at the call. It is sent when the stream is first polled, or by
/// [`started`](Self::started). The stream borrows nothing, and may be polled on any executor.
///
/// It ends with `None` when the responder's stream ends. Every other end is one last error: the responder failed, the
/// topic has no responder, the connection is lost.
///
/// # Windows
///
/// The responder sends items until they take as many bytes as the [`window`](Self::window) says, and goes on as this
/// stream reads them. So the memory that a slow reader takes is bounded, and it delays neither other streams nor
/// messages. What counts is the length of the lines on the wire, at least
/// [`limits::ITEM_COST`](crate::limits::ITEM_COST) (64) bytes an item. The last item may take more than what is left of
/// the window. An item that is longer than the whole window ends the stream.
///
/// # Cancel safety
///
/// Dropping the stream cancels the request: the peer is told, and drops the responder's stream at once. Items that were
/// on their way are counted ([`Stats::late_replies`](crate::Stats::late_replies)). [`next`](Self::next) loses no item
/// when it is dropped before it resolves.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, RequestError, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "follow", stream = String)]
/// struct Follow { job: u64 }
///
/// # async fn example(client: Client) -> Result<(), RequestError> {
/// let mut lines = client.request_stream(&Follow { job: 7 });
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
/// # Ok(()) }
/// ```
///
/// The chapter [streams](crate::guide::streams) has more.
#[must_use = "the request is sent when the stream is polled"]
pub struct ReplyStream<I, E = ErrorReply> {
    phase: Phase<E>,
    read: ReadItems<I, E>,
}

enum Phase<E> {
    Unsent(Box<UnsentRequest<E>>),
    Open(OpenStream),
    /// The request was not sent.
    Failed(RequestError<E>),
    Done,
}

/// A request that is encoded, and how it will be sent.
struct UnsentRequest<E> {
    send: Box<dyn FnOnce(StreamOptions) -> Result<OpenStream, RequestError<E>> + Send + Sync>,
    options: StreamOptions,
}

impl<I, E> ReplyStream<I, E> {
    /// A stream whose request will be sent by `send`.
    pub(crate) fn new(
        limits: &Limits,
        read: ReadItems<I, E>,
        send: impl FnOnce(StreamOptions) -> Result<OpenStream, RequestError<E>> + Send + Sync + 'static,
    ) -> Self {
        let options = StreamOptions {
            window: limits.stream_window.max(1),
            timeout: limits.request_timeout,
            idle_timeout: None,
        };
        Self { phase: Phase::Unsent(Box::new(UnsentRequest { send: Box::new(send), options })), read }
    }

    /// The stream of a request that can't be sent.
    pub(crate) fn failed(error: impl Into<RequestError<E>>, read: ReadItems<I, E>) -> Self {
        Self { phase: Phase::Failed(error.into()), read }
    }

    /// Sets how many bytes of items may lie unread:
    /// [`limits::STREAM_WINDOW`](crate::limits::STREAM_WINDOW) (256 KiB) unless set here or by `stream_window` of the
    /// builder. It has no effect once the request is sent.
    ///
    /// A larger one makes a stream of many small items faster, and allows longer items. A window of
    /// 0 is one of 1 byte.
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Client, Topic};
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "list", stream = String)]
    /// # struct List;
    /// # fn example(client: Client) {
    /// let names = client.request_stream(&List).window(1024 * 1024);
    /// # }
    /// ```
    pub fn window(self, bytes: u64) -> Self {
        // With a window of 0, no item could ever come.
        self.with(|options| options.window = bytes.max(1))
    }

    /// Sets how long the responder may take to begin: `request_timeout` unless set. After that a stream may be silent
    /// for any time, unless [`idle_timeout`](Self::idle_timeout) is set. It has no effect once the request is sent.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Client, Topic};
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "list", stream = String)]
    /// # struct List;
    /// # async fn example(client: Client) -> Result<(), socket_ipc::RequestError> {
    /// let mut names = client.request_stream(&List).timeout(Duration::from_secs(1));
    /// names.started().await?; // `RequestError::Timeout`, if it has not begun after a second
    /// # Ok(()) }
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout = timeout)
    }

    /// Sets how long each item may take, from when it is waited for: any time unless set. The wait for the first one is
    /// bounded by [`timeout`](Self::timeout) until the responder has begun.
    ///
    /// Once an item has taken longer, the stream ends with [`RequestError::Timeout`], and the responder's is dropped.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Client, Topic};
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "list", stream = String)]
    /// # struct List;
    /// # fn example(client: Client) {
    /// let names = client.request_stream(&List).idle_timeout(Duration::from_secs(30));
    /// # }
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        if let Phase::Open(stream) = &mut self.phase {
            stream.set_idle_timeout(timeout);
            return self;
        }
        self.with(|options| options.idle_timeout = Some(timeout))
    }

    fn with(mut self, change: impl FnOnce(&mut StreamOptions)) -> Self {
        if let Phase::Unsent(request) = &mut self.phase {
            change(&mut request.options);
        }
        self
    }

    /// Sends the request, if that was not done, and waits until the responder has begun to reply.
    ///
    /// # Errors
    ///
    /// [`RequestError`], if there is no responder, or it fails before it has begun. Then the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// What the responder tells from now on is an item of the stream:
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Client, RequestError, Topic};
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "list", stream = String)]
    /// # struct List;
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let mut names = client.request_stream(&List);
    /// names.started().await?;
    /// client.send_raw("add", &"crussell52")?;
    /// while let Some(name) = names.next().await {
    ///     println!("{}", name?);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn started(&mut self) -> Result<(), RequestError<E>> {
        self.send();
        if let Phase::Open(stream) = &mut self.phase {
            let started = stream.started(self.read).await;
            if started.is_err() {
                self.phase = Phase::Done;
            }
            return started;
        }
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Failed(error) => {
                consume_budget().await;
                Err(error)
            }
            phase => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    /// Waits for the next item; `None` once the stream has ended. An error is the last item.
    ///
    /// It is the `next` of `StreamExt`, for programs that use nothing else of it.
    ///
    /// # Errors
    ///
    /// [`RequestError`], for every end but that of the responder's stream; [streams](crate::guide::streams) has them all.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Client, RequestError, Topic};
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "list", stream = String)]
    /// # struct List;
    /// # async fn example(client: Client) -> Result<(), RequestError> {
    /// let mut names = client.request_stream(&List);
    /// let first = names.next().await.transpose()?;
    /// println!("the first of the list is {first:?}");
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Option<Result<I, RequestError<E>>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn send(&mut self) {
        if let Phase::Unsent(_) = self.phase
            && let Phase::Unsent(request) = std::mem::replace(&mut self.phase, Phase::Done)
        {
            self.phase = match (request.send)(request.options) {
                Ok(stream) => Phase::Open(stream),
                Err(error) => Phase::Failed(error),
            };
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<I, RequestError<E>>>> {
        self.send();
        let stream = match &mut self.phase {
            Phase::Open(stream) => stream,
            _ => {
                // Otherwise a program that tries again in a loop would let no other task run.
                ready!(pin!(consume_budget()).poll(cx));
                return match std::mem::replace(&mut self.phase, Phase::Done) {
                    Phase::Failed(error) => Poll::Ready(Some(Err(error))),
                    _ => Poll::Ready(None),
                };
            }
        };
        let item = ready!(stream.poll_item(cx, self.read));
        if !matches!(item, Some(Ok(_))) {
            // Where the stream has not ended, the peer is told that nobody reads on.
            self.phase = Phase::Done;
        }
        Poll::Ready(item)
    }
}

impl<I, E> Stream for ReplyStream<I, E> {
    type Item = Result<I, RequestError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<I, E> FusedStream for ReplyStream<I, E> {
    fn is_terminated(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }
}

// Neither is ever pinned.
impl<I, E> Unpin for ReplyStream<I, E> {}

impl<I, E: fmt::Debug> fmt::Debug for ReplyStream<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReplyStream");
        match &self.phase {
            Phase::Unsent(request) => debug.field("unsent", &request.options),
            Phase::Open(stream) => debug.field("open", stream),
            Phase::Failed(error) => debug.field("error", error),
            Phase::Done => &mut debug,
        };
        debug.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
