//! The reply to a request, as a future.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pending_requests::{BeginError, NoReply, Outcome, PendingRequests};
use super::{Limits, Link};
use crate::error::error_reply::{ERROR_TOPIC, ErrorReply};
use crate::error::{RequestError, SendError};
use crate::events::CloseCause;
use crate::topic::Topic;
use crate::wire::raw_message::RawMessage;
use crate::wire::{Envelope, EnvelopeKind, Wire, decode_any_kind, utf8};

/// Waits for the reply to a request: a future of `Result<R, RequestError>`, which `request` returns.
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
/// Dropping it forgets the request; the responder does not learn it. A reply that arrives later is counted
/// ([`Stats::late_replies`](crate::Stats::late_replies)) and traced.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, RequestError, Topic};
/// use std::time::Duration;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = Sum)]
/// struct Add { left: i64, right: i64 }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "sum"]
/// struct Sum(i64);
///
/// # async fn example(client: Client) -> Result<(), RequestError> {
/// let Sum(five) = client.request(&Add { left: 2, right: 3 }).await?;
///
/// // many at once, each with a shorter timeout
/// let replies: Vec<_> = (0..100)
///     .map(|number| client.request(&Add { left: number, right: five }).timeout(Duration::from_secs(1)))
///     .collect();
/// for reply in replies {
///     println!("{}", reply.await?.0);
/// }
/// # Ok(()) }
/// ```
#[must_use = "the request has been sent; awaiting this waits for its reply"]
pub struct ReplyFuture<R> {
    progress: Progress,
    read: Read<R>,
}

/// Decodes the envelope of a reply; the text is the topic of the request.
pub(crate) type Read<R> = fn(Wire, &str, &[u8]) -> Result<R, RequestError>;

enum Progress {
    Waiting(PendingRequest),
    /// The request was not sent.
    Failed(RequestError),
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

impl<R> ReplyFuture<R> {
    /// Sends a request over a connection: `send` queues it. An error is returned by the future.
    pub(crate) fn begin(
        link: &Link,
        limits: &Limits,
        topic: &str,
        send: impl FnOnce(EnvelopeKind) -> Result<(), SendError>,
        read: Read<R>,
    ) -> Self {
        let Limits { wire, request_timeout: timeout, .. } = *limits;
        let sent = || -> Result<Self, RequestError> {
            let topic = || topic.to_owned();
            let (id, reply) = link.pending_requests.begin(timeout).map_err(|error| match error {
                BeginError::TooMany { limit } => RequestError::TooManyRequests { topic: topic(), limit },
                BeginError::Ended(cause) => RequestError::ConnectionLost { topic: topic(), cause },
            })?;
            // Made before the request is sent, so that the reply can't come first. Dropped, it forgets the request.
            let request = PendingRequest {
                topic: topic().into(),
                wire,
                id,
                pending_requests: Arc::clone(&link.pending_requests),
                reply,
                sent: Instant::now(),
                timeout,
                settled: false,
            };
            send(EnvelopeKind::Request(id.into()))?;
            Ok(Self { progress: Progress::Waiting(request), read })
        };
        sent().unwrap_or_else(|error| Self::failed(error, read))
    }

    /// The reply to a request that was not sent.
    pub(crate) fn failed(error: impl Into<RequestError>, read: Read<R>) -> Self {
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

impl<R> Future for ReplyFuture<R> {
    type Output = Result<R, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.progress {
            Progress::Waiting(request) => ready!(request.poll(cx)),
            Progress::Failed(_) | Progress::Done => Err(NoReply::TimedOut),
        };
        match std::mem::replace(&mut self.progress, Progress::Done) {
            Progress::Waiting(request) => Poll::Ready(match outcome {
                Ok(envelope) => (self.read)(request.wire, &request.topic, &envelope),
                Err(no_reply) => Err(request.failed::<R>(no_reply)),
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

    /// The error of a request that has no reply of the type `R`.
    fn failed<R>(&self, no_reply: NoReply) -> RequestError {
        let topic = self.topic.to_string();
        match no_reply {
            NoReply::TimedOut => RequestError::Timeout { topic, timeout: self.timeout },
            NoReply::Ended(cause) => RequestError::ConnectionLost { topic, cause },
            NoReply::NoRoom { limit } => RequestError::InboxFull { topic, limit },
            NoReply::TooLong { size, limit } => RequestError::ReplyUndecodable {
                topic,
                type_name: std::any::type_name::<R>(),
                reason: format!("it takes {size} bytes, over the limit of {limit}: raise `max_message_len`"),
            },
        }
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if !self.settled {
            self.pending_requests.forget(self.id);
        }
    }
}

impl<R> fmt::Debug for ReplyFuture<R> {
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

/// Decodes the reply to a request, of a type. `request` is the topic of the request.
pub(crate) fn read_typed<R>(wire: Wire, request: &str, envelope: &[u8]) -> Result<R, RequestError>
where
    R: Topic + DeserializeOwned,
{
    let undecodable = |reason| {
        let (topic, type_name) = (request.to_owned(), std::any::type_name::<R>());
        RequestError::ReplyUndecodable { topic, type_name, reason }
    };
    let text = utf8(envelope).map_err(|error| undecodable(error.to_string()))?;
    if let Some(head) = wire.head(text).filter(|head| head.topic == R::NAME)
        && let Some((reply, _)) = decode_any_kind(head.rest)
    {
        return Ok(reply);
    }
    let Envelope { topic, message, is_error, .. } =
        wire.decode(text.as_bytes()).map_err(|error| undecodable(error.to_string()))?;
    if topic == R::NAME && !is_error {
        return message.decode().map_err(|error| undecodable(error.to_string()));
    }
    reject(request, is_error || topic == ERROR_TOPIC, &message)?;
    Err(RequestError::UnexpectedTopic {
        topic: request.to_owned(),
        found: topic.into_owned(),
        expected: R::NAME,
    })
}

/// Decodes the reply to a request, of a topic that is known only at run time.
pub(crate) fn read_raw(
    wire: Wire,
    request: &str,
    envelope: &[u8],
) -> Result<RawMessage<'static>, RequestError> {
    let Envelope { topic, message, is_error, .. } =
        wire.decode(envelope).map_err(|error| RequestError::ReplyUndecodable {
            topic: request.to_owned(),
            type_name: "RawMessage",
            reason: error.to_string(),
        })?;
    // The topic of the expected reply is not known here: a reply under the topic of errors counts as an error reply.
    reject(request, is_error || topic == ERROR_TOPIC, &message)?;
    Ok(message.into_owned())
}

/// Fails with the error of an error reply. An error reply has the key `error`. Older versions and hand-written programs
/// leave the key out: without it, the topic `error` makes an error reply, unless it is the topic of the expected reply.
fn reject(request: &str, is_error: bool, message: &RawMessage<'_>) -> Result<(), RequestError> {
    if !is_error {
        return Ok(());
    }
    // A message of another form becomes the text of the error.
    let error_reply =
        message.decode().unwrap_or_else(|_| ErrorReply::new(ErrorReply::FAILED, message.as_str()));
    Err(RequestError::of_error_reply(request, &error_reply))
}
