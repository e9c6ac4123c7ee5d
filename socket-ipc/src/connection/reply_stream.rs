//! The reply to a request that is a stream of items.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use serde::de::DeserializeOwned;
use tokio::task::consume_budget;
use tokio::time::Instant;

use super::item_queue::{Arrival, End, ItemQueue, Lines, cost};
use super::pending_requests::PendingRequests;
use super::reply_future::{Read, begin_error, error_reply_of, no_reply_error, raw_error, typed_error};
use super::{Limits, Link};
use crate::error::error_reply::ErrorReply;
use crate::error::{RequestError, SendError};
use crate::topic::StreamRequest;
use crate::wire::raw_message::RawMessage;
use crate::wire::{Envelope, RequestId, Window, Wire, decode_item, utf8};

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
#[must_use = "the request is sent when the stream is polled"]
pub struct ReplyStream<I, E = ErrorReply> {
    phase: Phase<E>,
    read: ReadItems<I, E>,
}

/// Decodes the lines of a stream; the text is the topic of the request.
pub(crate) struct ReadItems<I, E> {
    /// The envelope of an item.
    item: Read<I, E>,
    error: fn(&str, ErrorReply) -> RequestError<E>,
}

impl<I, E> Copy for ReadItems<I, E> {}

// Not derived: the items need not be `Clone`.
impl<I, E> Clone for ReadItems<I, E> {
    fn clone(&self) -> Self {
        *self
    }
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

/// The options of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamOptions {
    window: u64,
    timeout: Duration,
    idle_timeout: Option<Duration>,
}

/// A request that was sent.
pub(crate) struct OpenStream {
    topic: Box<str>,
    wire: Wire,
    id: u64,
    pending_requests: Arc<PendingRequests>,
    items: Arc<ItemQueue>,
    /// Lines that were taken out of the queue.
    lines: Lines,
    /// What was read and the peer does not know, in bytes of the window.
    unrenewed: u64,
    options: StreamOptions,
    /// What the deadline of the present wait is; `None` until the wait has one.
    waits_for: Option<Duration>,
    /// The task has used up its budget of tokio's scheduler.
    is_due_to_yield: bool,
}

impl OpenStream {
    /// Registers a request of a stream, and sends it: `send` queues it.
    pub(crate) fn begin<E>(
        link: &Link,
        wire: Wire,
        topic: &str,
        options: StreamOptions,
        send: impl FnOnce(Window, &RequestId) -> Result<(), SendError>,
    ) -> Result<Self, RequestError<E>> {
        let (window, items) = (options.window, Arc::new(ItemQueue::new(Some(options.window))));
        let id = link
            .pending_requests
            .begin_stream(Arc::clone(&items), options.timeout)
            .map_err(|error| begin_error(topic, error))?;
        // Made before the request is sent, so that an item can't come first.
        let stream = Self {
            topic: topic.into(),
            wire,
            id,
            pending_requests: Arc::clone(&link.pending_requests),
            items,
            lines: Lines::default(),
            unrenewed: 0,
            options,
            waits_for: Some(options.timeout),
            is_due_to_yield: false,
        };
        if let Err(error) = send(Window::Bytes(window), &id.into()) {
            stream.pending_requests.withdraw(id);
            return Err(error.into());
        }
        Ok(stream)
    }

    /// The next line, or the end.
    fn poll_line(&mut self, cx: &Context<'_>) -> Poll<Result<(), (End, bool)>> {
        if !self.lines.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match self.items.poll_read(cx) {
            Poll::Ready(Arrival::Lines(lines)) => {
                self.lines = lines;
                self.waits_for = None;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Arrival::End { end, has_started }) => Poll::Ready(Err((end, has_started))),
            Poll::Pending => {
                // The memory of what was read.
                self.lines = Lines::default();
                self.wait();
                Poll::Pending
            }
        }
    }

    /// Gives the wait for the next item its deadline.
    fn wait(&mut self) {
        if self.waits_for.is_none()
            && let Some(timeout) = self.options.idle_timeout
        {
            let deadline = Instant::now().checked_add(timeout);
            if self.pending_requests.set_deadline(self.id, deadline) {
                self.waits_for = Some(timeout);
            }
        }
    }

    /// Counts an item whose line has this length as read, and tells the peer once half of the window is.
    fn has_read(&mut self, len: usize) {
        self.unrenewed = self.unrenewed.saturating_add(cost(len));
        // While fewer bytes are read the window is not closed, so that the peer never waits for a renewal that does not
        // come. After two renewals that the peer has not seen, there is nothing more to read: so no more than two wait.
        if self.unrenewed >= self.options.window.div_ceil(2) {
            let bytes = std::mem::take(&mut self.unrenewed);
            if self.items.open(bytes) {
                self.pending_requests.renew(self.id, bytes);
            }
        }
    }

    /// The error that the stream ends with; `None` where it has ended as it should.
    fn ended<I, E>(&self, read: ReadItems<I, E>, end: End, has_started: bool) -> Option<RequestError<E>> {
        let topic = || self.topic.to_string();
        let line = match end {
            End::Line(line) => line,
            End::NoReply(no_reply) => {
                let timeout = self.waits_for.unwrap_or(self.options.timeout);
                return Some(no_reply_error::<I, E>(&self.topic, timeout, no_reply));
            }
            End::BeyondWindow { size, window } => {
                return Some(RequestError::WindowExceeded { topic: topic(), size, window });
            }
        };
        let Envelope { topic: under, message, is_error, .. } = match self.wire.decode(&line) {
            Ok(envelope) => envelope,
            Err(error) => return Some(undecodable::<I, E>(&self.topic, error.to_string())),
        };
        match error_reply_of(is_error, &under, &self.topic, &message) {
            Some(error_reply) => Some((read.error)(&self.topic, error_reply)),
            None if has_started => None,
            None => Some(RequestError::NotAStream { topic: topic() }),
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // A stream that has ended is forgotten already.
        self.pending_requests.forget(self.id);
    }
}

impl<I, E> ReplyStream<I, E> {
    /// A stream whose request will be sent by `send`.
    pub(crate) fn new(
        limits: &Limits,
        read: ReadItems<I, E>,
        send: impl FnOnce(StreamOptions) -> Result<OpenStream, RequestError<E>> + Send + Sync + 'static,
    ) -> Self {
        let options = StreamOptions {
            window: limits.stream_window,
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
    /// A larger one makes a stream of many small items faster, and allows longer items.
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
        self.with(|options| options.window = bytes)
    }

    /// Sets how long the responder may take to begin: `request_timeout` unless set. After that a stream may be silent
    /// for any time, unless [`idle_timeout`](Self::idle_timeout) is set. It has no effect once the request is sent.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout = timeout)
    }

    /// Sets how long each item may take, from when it is waited for: any time unless set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        if let Phase::Open(stream) = &mut self.phase {
            stream.options.idle_timeout = Some(timeout);
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
    pub async fn started(&mut self) -> Result<(), RequestError<E>> {
        self.send();
        if let Phase::Open(stream) = &mut self.phase {
            let Some(end) = poll_fn(|cx| stream.items.poll_started(cx)).await else { return Ok(()) };
            if let Some(error) = stream.ended(self.read, end, false) {
                self.phase = Phase::Done;
                return Err(error);
            }
        }
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Failed(error) => Err(error),
            phase => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    /// Waits for the next item; `None` once the stream has ended. An error is the last item.
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
                return match std::mem::replace(&mut self.phase, Phase::Done) {
                    Phase::Failed(error) => Poll::Ready(Some(Err(error))),
                    _ => Poll::Ready(None),
                };
            }
        };
        // A task that always finds an item has to yield to others. One that finds none uses up no budget.
        if stream.is_due_to_yield {
            ready!(pin!(consume_budget()).poll(cx));
            stream.is_due_to_yield = false;
        }
        if let Err((end, has_started)) = ready!(stream.poll_line(cx)) {
            let error = stream.ended(self.read, end, has_started);
            self.phase = Phase::Done;
            return Poll::Ready(error.map(Err));
        }
        stream.is_due_to_yield = pin!(consume_budget()).poll(cx).is_pending();
        let Some(line) = stream.lines.next() else { return Poll::Pending };
        let (len, item) = (line.len(), (self.read.item)(stream.wire, &stream.topic, line));
        stream.has_read(len);
        if item.is_err() {
            // The peer is told that nobody reads on.
            self.phase = Phase::Done;
        }
        Poll::Ready(Some(item))
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
            Phase::Open(stream) => debug.field("topic", &stream.topic).field("id", &stream.id),
            Phase::Failed(error) => debug.field("error", error),
            Phase::Done => &mut debug,
        };
        debug.finish_non_exhaustive()
    }
}

/// Decodes the items and the errors of a stream of the type `T`.
pub(crate) fn read_items<T>() -> ReadItems<T::Item, T::Error>
where
    T: StreamRequest<Item: DeserializeOwned, Error: DeserializeOwned>,
{
    ReadItems { item: read_item::<T>, error: |topic, reply| typed_error(topic, reply, T::HAS_TYPED_ERROR) }
}

fn read_item<T>(wire: Wire, request: &str, line: &[u8]) -> Result<T::Item, RequestError<T::Error>>
where
    T: StreamRequest<Item: DeserializeOwned>,
{
    let failed = |reason: String| undecodable::<T::Item, T::Error>(request, reason);
    let text = utf8(line).map_err(|error| failed(error.to_string()))?;
    if let Some(item) = wire.head(text).and_then(|head| decode_item(head.rest)) {
        return Ok(item);
    }
    let envelope = wire.decode(line).map_err(|error| failed(error.to_string()))?;
    envelope.message.decode().map_err(|error| failed(error.to_string()))
}

/// Decodes the items and the errors of a stream of a topic that is known only at run time.
pub(crate) fn read_raw_items() -> ReadItems<RawMessage<'static>, RawMessage<'static>> {
    ReadItems { item: read_raw_item, error: raw_error }
}

fn read_raw_item(
    wire: Wire,
    request: &str,
    line: &[u8],
) -> Result<RawMessage<'static>, RequestError<RawMessage<'static>>> {
    let envelope = wire.decode(line).map_err(|error| RequestError::ReplyUndecodable {
        topic: request.to_owned(),
        type_name: "RawMessage",
        reason: error.to_string(),
    })?;
    Ok(envelope.message.into_owned())
}

fn undecodable<I, E>(topic: &str, reason: String) -> RequestError<E> {
    RequestError::ReplyUndecodable { topic: topic.to_owned(), type_name: std::any::type_name::<I>(), reason }
}
