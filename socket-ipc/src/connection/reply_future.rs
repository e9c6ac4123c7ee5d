//! The reply to a request, as a future.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::consume_budget;
use tokio::time::Instant;

use super::pending_requests::{BeginError, NoReply, Outcome, PendingRequests};
use super::{Limits, Link};
use crate::error::error_reply::{ERROR_TOPIC, ErrorReply};
use crate::error::{RequestError, SendError, type_name};
use crate::events::CloseCause;
use crate::topic::Request;
use crate::wire::raw_message::RawMessage;
use crate::wire::{Envelope, RequestId, StreamPart, Wire, decode_any_kind, utf8};

/// Waits for the reply to a request: a future of `Result<R, RequestError<E>>`, which `request` returns.
///
/// `request` encodes and queues the request at the call. The future borrows nothing, so many can be collected and
/// awaited later. It resolves when the reply arrives, or as soon as it is known that none will: the topic has no
/// responder, the responder fails, or the connection is lost. At the latest it resolves at its deadline, which
/// [`timeout`](Self::timeout) sets.
///
/// It may be awaited on any executor, and in asynchronous listeners and responders, even those of the connection that
/// brings the reply.
///
/// # Cancel safety
///
/// Dropping it cancels the request, as its deadline does: the peer is told, and drops an asynchronous responder at its
/// next await. A responder that has not begun is not called. A reply that was on its way is counted
/// ([`Stats::late_replies`](crate::Stats::late_replies)) and traced. `no_cancel` in the `#[topic]` of a request has its
/// responder run on.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, RequestError, Topic};
/// use std::time::Duration;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = i64)]
/// struct Add { left: i64, right: i64 }
///
/// # async fn example(client: Client) -> Result<(), RequestError> {
/// let five = client.request(&Add { left: 2, right: 3 }).await?;
///
/// // many at once, each with a shorter timeout
/// let replies: Vec<_> = (0..100)
///     .map(|number| client.request(&Add { left: number, right: five }).timeout(Duration::from_secs(1)))
///     .collect();
/// for reply in replies {
///     println!("{}", reply.await?);
/// }
/// # Ok(()) }
/// ```
///
/// The chapter [requests](crate::guide::requests) has more.
#[must_use = "the request has been sent; awaiting this waits for its reply"]
pub struct ReplyFuture<R, E = ErrorReply> {
    progress: Progress<E>,
    read: Read<R, E>,
}

/// Decodes the envelope of a reply; the text is the topic of the request.
pub(crate) type Read<R, E = ErrorReply> = fn(Wire, &str, &[u8]) -> Result<R, RequestError<E>>;

enum Progress<E> {
    Waiting(PendingRequest),
    /// The request was not sent.
    Failed(RequestError<E>),
    Done,
}

/// A request that was sent.
struct PendingRequest {
    topic: Box<str>,
    wire: Wire,
    id: u64,
    pending_requests: Arc<PendingRequests>,
    reply: oneshot::Receiver<Outcome>,
    sent: Instant,
    timeout: Duration,
    /// The outcome is known: dropping this has nothing to forget.
    settled: bool,
}

impl<R, E> ReplyFuture<R, E> {
    /// Sends a request over a connection: `send` queues it. An error is returned by the future.
    pub(crate) fn begin(
        link: &Link,
        limits: &Limits,
        topic: &str,
        send: impl FnOnce(&RequestId) -> Result<(), SendError>,
        read: Read<R, E>,
        is_cancelled: bool,
    ) -> Self {
        let Limits { wire, request_timeout: timeout, .. } = *limits;
        let sent = || -> Result<Self, RequestError<E>> {
            let (id, reply) = link
                .pending_requests
                .begin(timeout, is_cancelled)
                .map_err(|error| begin_error(topic, error))?;
            // Made before the request is sent, so that the reply can't come first.
            let mut request = PendingRequest {
                topic: topic.into(),
                wire,
                id,
                pending_requests: Arc::clone(&link.pending_requests),
                reply,
                sent: Instant::now(),
                timeout,
                settled: false,
            };
            if let Err(error) = send(&id.into()) {
                request.settled = true;
                request.pending_requests.withdraw(id);
                return Err(error.into());
            }
            Ok(Self { progress: Progress::Waiting(request), read })
        };
        sent().unwrap_or_else(|error| Self::failed(error, read))
    }

    /// The reply to a request that was not sent.
    pub(crate) fn failed(error: impl Into<RequestError<E>>, read: Read<R, E>) -> Self {
        let error = error.into();
        Self { progress: Progress::Failed(error), read }
    }

    /// Sets how long the reply may take, from the call of `request`: `request_timeout` unless set.
    ///
    /// ```no_run
    /// # async fn example(client: socket_ipc::Client) -> Result<(), socket_ipc::RequestError> {
    /// use std::time::Duration;
    ///
    /// let report = client.request_raw("report", &"last year").timeout(Duration::from_secs(60)).await?;
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Progress::Waiting(request) = &mut self.progress {
            let deadline = request.sent.checked_add(timeout);
            if request.pending_requests.set_deadline(request.id, deadline) {
                request.timeout = timeout;
            }
        }
        self
    }
}

// Neither is ever pinned.
impl<R, E> Unpin for ReplyFuture<R, E> {}

impl<R, E> Future for ReplyFuture<R, E> {
    type Output = Result<R, RequestError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.progress {
            Progress::Waiting(request) => ready!(request.poll(cx)),
            // Otherwise a program that tries again in a loop would let no other task run.
            Progress::Failed(_) => {
                ready!(pin!(consume_budget()).poll(cx));
                Err(NoReply::TimedOut)
            }
            Progress::Done => Err(NoReply::TimedOut),
        };
        match std::mem::replace(&mut self.progress, Progress::Done) {
            Progress::Waiting(request) => Poll::Ready(match outcome {
                Ok(envelope) => {
                    let reply = (self.read)(request.wire, &request.topic, &envelope);
                    if let Err(RequestError::IsAStream { .. }) = &reply {
                        // The responder goes on.
                        request.pending_requests.cancel_id(request.id);
                    }
                    reply
                }
                Err(no_reply) => Err(no_reply_error::<R, E>(&request.topic, request.timeout, no_reply)),
            }),
            Progress::Failed(error) => Poll::Ready(Err(error)),
            // It was awaited before.
            Progress::Done => Poll::Pending,
        }
    }
}

impl PendingRequest {
    /// Waits for its outcome.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = ready!(Pin::new(&mut self.reply).poll(cx));
        self.settled = true;
        // The sender sends an outcome before it is dropped, unless the whole runtime is.
        Poll::Ready(outcome.unwrap_or(Err(NoReply::Ended(CloseCause::Closed))))
    }
}

/// The error of a request that was not registered.
pub(super) fn begin_error<E>(topic: &str, error: BeginError) -> RequestError<E> {
    let topic = topic.to_owned();
    match error {
        BeginError::TooMany { limit } => RequestError::TooManyRequests { topic, limit },
        BeginError::Ended(cause) => RequestError::ConnectionLost { topic, cause },
    }
}

/// The error of a request that has no reply of the type `R`.
pub(super) fn no_reply_error<R, E>(topic: &str, timeout: Duration, no_reply: NoReply) -> RequestError<E> {
    let topic = topic.to_owned();
    match no_reply {
        NoReply::TimedOut => RequestError::Timeout { topic, timeout },
        NoReply::Ended(cause) => RequestError::ConnectionLost { topic, cause },
        NoReply::NoRoom { limit } => RequestError::InboxFull { topic, limit },
        NoReply::TooLong { size, limit } => RequestError::ReplyUndecodable {
            topic,
            type_name: type_name::<R>(),
            reason: format!("it takes {size} bytes, over the limit of {limit}: raise `max_message_len`"),
        },
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if !self.settled {
            self.pending_requests.forget(self.id);
        }
    }
}

impl<R, E: fmt::Debug> fmt::Debug for ReplyFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReplyFuture");
        match &self.progress {
            Progress::Waiting(request) => debug.field("topic", &request.topic).field("id", &request.id),
            Progress::Failed(error) => debug.field("error", error),
            Progress::Done => &mut debug,
        };
        debug.finish_non_exhaustive()
    }
}

/// Decodes the reply to a request of the type `T`. `request` is its topic.
pub(crate) fn read_typed<T>(
    wire: Wire,
    request: &str,
    envelope: &[u8],
) -> Result<T::Reply, RequestError<T::Error>>
where
    T: Request<Reply: DeserializeOwned, Error: DeserializeOwned>,
{
    let undecodable = |reason| {
        let (topic, type_name) = (request.to_owned(), type_name::<T::Reply>());
        RequestError::ReplyUndecodable { topic, type_name, reason }
    };
    let reply_topic = T::REPLY_TOPIC.unwrap_or(T::NAME);
    let text = utf8(envelope).map_err(|error| undecodable(error.to_string()))?;
    if let Some(head) = wire.head(text).filter(|head| !is_error_topic(head.topic, reply_topic))
        && let Some((reply, _)) = decode_any_kind(head.rest)
    {
        return Ok(reply);
    }
    let envelope = wire.decode(text.as_bytes()).map_err(|error| undecodable(error.to_string()))?;
    if envelope.stream != StreamPart::None {
        return Err(RequestError::IsAStream { topic: request.to_owned() });
    }
    match error_reply_of(envelope.is_error, &envelope.topic, reply_topic, &envelope.message) {
        None => envelope.decode_message(wire).map_err(undecodable),
        Some(reply) => Err(typed_error(request, reply, T::HAS_TYPED_ERROR)),
    }
}

/// Decodes the reply to a request, of a topic that is known only at run time.
pub(crate) fn read_raw(
    wire: Wire,
    request: &str,
    envelope: &[u8],
) -> Result<RawMessage<'static>, RequestError<RawMessage<'static>>> {
    let Envelope { topic, message, is_error, stream, .. } =
        wire.decode(envelope).map_err(|error| RequestError::ReplyUndecodable {
            topic: request.to_owned(),
            type_name: "RawMessage".to_owned(),
            reason: error.to_string(),
        })?;
    if stream != StreamPart::None {
        return Err(RequestError::IsAStream { topic: request.to_owned() });
    }
    match error_reply_of(is_error, &topic, request, &message) {
        None => Ok(message.into_owned()),
        Some(reply) => Err(raw_error(request, reply)),
    }
}

/// The error of a request whose errors may be of the type `E`.
pub(crate) fn typed_error<E: DeserializeOwned>(
    request: &str,
    reply: ErrorReply,
    has_typed_error: bool,
) -> RequestError<E> {
    match reply.data().filter(|_| has_typed_error).map(RawMessage::decode) {
        Some(Ok(error)) => {
            RequestError::Failed { topic: request.to_owned(), text: reply.text().to_owned(), error }
        }
        Some(Err(_)) | None => RequestError::rejected(request, reply),
    }
}

/// The error of a request whose errors are JSON text.
pub(super) fn raw_error(request: &str, reply: ErrorReply) -> RequestError<RawMessage<'static>> {
    match reply.data() {
        Some(data) => RequestError::Failed {
            topic: request.to_owned(),
            text: reply.text().to_owned(),
            error: data.clone(),
        },
        None => RequestError::rejected(request, reply),
    }
}

/// The error reply that a reply is, if it is one. Error replies have a key that says so; older versions and
/// hand-written programs leave that out.
pub(super) fn error_reply_of(
    is_error: bool,
    topic: &str,
    expected: &str,
    message: &RawMessage<'_>,
) -> Option<ErrorReply> {
    (is_error || is_error_topic(topic, expected)).then(|| error_reply(message))
}

/// Whether a reply under this topic is an error reply, where it should have come under another one.
fn is_error_topic(topic: &str, expected: &str) -> bool {
    topic == ERROR_TOPIC && expected != ERROR_TOPIC
}

/// Reads an error reply. A message of another form becomes the text of the error.
fn error_reply(message: &RawMessage<'_>) -> ErrorReply {
    message.decode().unwrap_or_else(|_| ErrorReply::new(ErrorReply::FAILED, message.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request whose reply may be any JSON.
    #[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
    #[topic(name = "any", reply = serde_json::Value)]
    struct Any;

    #[test]
    fn read_typed_error_reply_without_its_key_is_an_error_for_any_reply_type() {
        let read = |topic: &str| {
            let envelope = format!(r#"{{"topic":"{topic}","message":{{"text":"no"}},"re":1}}"#);
            read_typed::<Any>(Wire::JSON_LINES, "any", envelope.as_bytes())
        };
        assert_eq!(read("any").unwrap()["text"], "no");
        assert!(matches!(read(ERROR_TOPIC), Err(RequestError::Rejected { .. })));
    }
}
