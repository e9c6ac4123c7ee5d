//! A stream that was requested over a connection: its lines, its window and its deadlines.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::task::consume_budget;
use tokio::time::Instant;

use super::Link;
use super::item_queue::{Arrival, End, ItemQueue, Lines};
use super::pending_requests::PendingRequests;
use super::reply_future::{begin_error, error_reply_of, no_reply_error, raw_error, typed_error};
use crate::error::error_reply::ErrorReply;
use crate::error::{RequestError, SendError, type_name};
use crate::router::cost;
use crate::topic::StreamRequest;
use crate::wire::raw_message::RawMessage;
use crate::wire::{Envelope, RequestId, Window, Wire, decode_item, utf8};

/// Decodes the lines of a stream; the text is the topic of the request.
pub(crate) struct ReadItems<I, E> {
    item: ReadItem<I, E>,
    error: fn(&str, ErrorReply) -> RequestError<E>,
}

/// Decodes the envelope of an item. The text is the topic of the request; the buffer holds how the envelope before it
/// began, up to the item itself.
type ReadItem<I, E> = fn(Wire, &str, &mut Vec<u8>, &[u8]) -> Result<I, RequestError<E>>;

impl<I, E> Copy for ReadItems<I, E> {}

// Not derived: the items need not be `Clone`.
impl<I, E> Clone for ReadItems<I, E> {
    fn clone(&self) -> Self {
        *self
    }
}

/// The options of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamOptions {
    pub(super) window: u64,
    pub(super) timeout: Duration,
    pub(super) idle_timeout: Option<Duration>,
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
    /// How the last item's envelope began, up to the item itself: comparing takes less time than reading the topic.
    front: Vec<u8>,
    /// The bytes of the window that were read and that no renewal has told the peer about.
    unrenewed: u64,
    /// Where the last renewal ends in the outbox.
    renewal: u64,
    options: StreamOptions,
    /// The present wait for an item has a deadline.
    has_deadline: bool,
    /// The task has used up its budget of tokio's scheduler.
    is_due_to_yield: bool,
    /// How many items may be read before that budget is charged.
    free: usize,
}

/// How many items are read for one unit of the budget of tokio's scheduler. A task has 128 units a turn, and a session
/// reads about two thousand small items in its turn. So a reader on the same thread keeps up.
const ITEMS_A_UNIT: usize = 16;

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
            front: Vec::new(),
            unrenewed: 0,
            renewal: 0,
            options,
            has_deadline: false,
            is_due_to_yield: false,
            free: ITEMS_A_UNIT,
        };
        if let Err(error) = send(Window::Bytes(window), &id.into()) {
            stream.pending_requests.withdraw(id);
            return Err(error.into());
        }
        Ok(stream)
    }

    pub(super) fn set_idle_timeout(&mut self, timeout: Duration) {
        self.options.idle_timeout = Some(timeout);
    }

    /// Waits until the responder has begun to reply.
    pub(super) async fn started<I, E>(&self, read: ReadItems<I, E>) -> Result<(), RequestError<E>> {
        let Some(end) = poll_fn(|cx| self.items.poll_started(cx)).await else { return Ok(()) };
        self.ended(read, end, false).map_or(Ok(()), Err)
    }

    /// The next item, or the error that the stream ends with; `None` where it ends as it should.
    pub(super) fn poll_item<I, E>(
        &mut self,
        cx: &mut Context<'_>,
        read: ReadItems<I, E>,
    ) -> Poll<Option<Result<I, RequestError<E>>>> {
        // A task that always finds an item has to yield to others. One that finds none uses up no budget.
        if self.is_due_to_yield {
            ready!(pin!(consume_budget()).poll(cx));
            self.is_due_to_yield = false;
        }
        if let Err((end, has_started)) = ready!(self.poll_line(cx)) {
            return Poll::Ready(self.ended(read, end, has_started).map(Err));
        }
        self.free -= 1;
        if self.free == 0 {
            self.free = ITEMS_A_UNIT;
            self.is_due_to_yield = pin!(consume_budget()).poll(cx).is_pending();
        }
        let Some(line) = self.lines.next() else { return Poll::Ready(None) };
        let (len, item) = (line.len(), (read.item)(self.wire, &self.topic, &mut self.front, line));
        self.has_read(len);
        Poll::Ready(Some(item))
    }

    /// Waits for a line, or the end and whether the responder had begun.
    fn poll_line(&mut self, cx: &Context<'_>) -> Poll<Result<(), (End, bool)>> {
        if !self.lines.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match self.items.poll_read(cx) {
            Poll::Ready(Arrival::Lines(lines)) => {
                self.lines = lines;
                self.has_deadline = false;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Arrival::End { end, has_started }) => Poll::Ready(Err((end, has_started))),
            Poll::Pending => {
                // The memory of what was read.
                self.lines = Lines::default();
                if !self.begins_to_wait() {
                    return Poll::Pending;
                }
                // An item that came before the deadline was set has not ended it.
                let poll = self.poll_line(cx);
                if poll.is_ready() {
                    self.pending_requests.set_deadline(self.id, None);
                }
                poll
            }
        }
    }

    /// Gives the wait for an item its deadline. `false` if it has one, or needs none.
    fn begins_to_wait(&mut self) -> bool {
        // Until the responder has begun, another deadline runs.
        if self.has_deadline || !self.items.has_started() {
            return false;
        }
        let Some(timeout) = self.options.idle_timeout else { return false };
        self.items.expect_within_deadline();
        let deadline = Instant::now().checked_add(timeout);
        self.has_deadline = self.pending_requests.set_deadline(self.id, deadline);
        self.has_deadline
    }

    /// Counts an item whose line has this length as read, and tells the peer once half of the window is.
    fn has_read(&mut self, len: usize) {
        self.unrenewed = self.unrenewed.saturating_add(cost(len));
        // With less than half of the window read, the window is still open: the peer never waits for a renewal that
        // does not come. While a renewal waits in the outbox, no other follows it: once the peer has it, it sends
        // items, and reading the next of them makes another renewal.
        if self.unrenewed >= self.options.window.div_ceil(2)
            && self.pending_requests.has_renewed(self.renewal)
        {
            let bytes = std::mem::take(&mut self.unrenewed);
            if self.items.open(bytes) {
                self.renewal = self.pending_requests.renew(self.id, bytes);
            }
        }
    }

    /// The error that the stream ends with; `None` where it has ended as it should.
    fn ended<I, E>(&self, read: ReadItems<I, E>, end: End, has_started: bool) -> Option<RequestError<E>> {
        let topic = || self.topic.to_string();
        let line = match end {
            End::Line(line) => line,
            End::NoReply(no_reply) => {
                let timeout =
                    self.options.idle_timeout.filter(|_| has_started).unwrap_or(self.options.timeout);
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

impl fmt::Debug for OpenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream").field("topic", &self.topic).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // A stream that has ended is forgotten already.
        self.pending_requests.forget(self.id);
        self.items.abandon();
    }
}

/// Decodes the items and the errors of a stream of the type `T`.
pub(crate) fn read_items<T>() -> ReadItems<T::Item, T::Error>
where
    T: StreamRequest<Item: DeserializeOwned, Error: DeserializeOwned>,
{
    ReadItems { item: read_item::<T>, error: |topic, reply| typed_error(topic, reply, T::HAS_TYPED_ERROR) }
}

fn read_item<T>(
    wire: Wire,
    request: &str,
    front: &mut Vec<u8>,
    line: &[u8],
) -> Result<T::Item, RequestError<T::Error>>
where
    T: StreamRequest<Item: DeserializeOwned>,
{
    let known = line.strip_prefix(front.as_slice()).filter(|_| !front.is_empty());
    if let Some(item) = known.and_then(|rest| decode_item(utf8(rest).ok()?)) {
        return Ok(item);
    }
    let failed = |reason: String| undecodable::<T::Item, T::Error>(request, reason);
    let text = utf8(line).map_err(|error| failed(error.to_string()))?;
    if let Some(head) = wire.head(text)
        && let Some(item) = decode_item(head.rest)
    {
        front.clear();
        front.extend_from_slice(&line[..line.len() - head.rest.len()]);
        return Ok(item);
    }
    let envelope = wire.decode(line).map_err(|error| failed(error.to_string()))?;
    envelope.decode_message(wire).map_err(failed)
}

/// Decodes the items and the errors of a stream of a topic that is known only at run time.
pub(crate) fn read_raw_items() -> ReadItems<RawMessage<'static>, RawMessage<'static>> {
    ReadItems { item: read_raw_item, error: raw_error }
}

fn read_raw_item(
    wire: Wire,
    request: &str,
    _front: &mut Vec<u8>,
    line: &[u8],
) -> Result<RawMessage<'static>, RequestError<RawMessage<'static>>> {
    let envelope = wire.decode(line).map_err(|error| RequestError::ReplyUndecodable {
        topic: request.to_owned(),
        type_name: "RawMessage".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(envelope.message.into_owned())
}

fn undecodable<I, E>(topic: &str, reason: String) -> RequestError<E> {
    RequestError::ReplyUndecodable { topic: topic.to_owned(), type_name: type_name::<I>(), reason }
}

#[cfg(test)]
mod tests;
