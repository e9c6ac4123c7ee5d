//! The answer to a question, as a future.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::questions::{AskError, Outcome, Questions, Unanswered};
use super::{Limits, Link};
use crate::error::{RequestError, SendError};
use crate::events::CloseCause;
use crate::raw_message::RawMessage;
use crate::refusal::{REFUSAL_TOPIC, Refusal};
use crate::topic::Topic;
use crate::wire::{Envelope, Kind, Wire, decode_any_kind, utf8};

/// Waits for the answer to a question: a future of `Result<R, RequestError>`, which `request` returns.
///
/// The question was encoded and queued at the call, and the answer borrows nothing, so that many can be collected and
/// awaited later. It resolves when the answer arrives, or at once when it is known that none will: nobody responds, the
/// responder fails, the connection is lost. At the latest it resolves at its deadline, which
/// [`within`](Self::within) sets.
///
/// It may be awaited anywhere: in asynchronous listeners and responders too, whose own connection may bring it, and on
/// any executor.
///
/// # Cancel safety
///
/// Dropping it forgets the question; the responder is not told. An answer that arrives later is counted
/// ([`late_answers`](crate::ClientHandle::late_answers)) and traced.
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
/// // many at once, each with less time than usual
/// let answers: Vec<_> = (0..100)
///     .map(|number| client.request(&Add { left: number, right: five }).within(Duration::from_secs(1)))
///     .collect();
/// for answer in answers {
///     println!("{}", answer.await?.0);
/// }
/// # Ok(()) }
/// ```
#[must_use = "the question has been sent; awaiting this waits for its answer"]
pub struct Answer<R> {
    progress: Progress,
    read: Read<R>,
}

/// Makes the result of the question's topic and the envelope that answers it.
pub(crate) type Read<R> = fn(Wire, &str, &[u8]) -> Result<R, RequestError>;

enum Progress {
    Waiting(Question),
    /// The question was not sent.
    Failed(RequestError),
    Done,
}

/// A question that was sent.
struct Question {
    topic: Box<str>,
    wire: Wire,
    id: u64,
    questions: Arc<Questions>,
    answer: oneshot::Receiver<Outcome>,
    asked: Instant,
    timeout: Duration,
    /// Nobody has to be told when this is dropped.
    settled: bool,
}

impl<R> Answer<R> {
    /// Asks over a connection: `send` queues the question. What goes wrong is found in the answer.
    pub(crate) fn ask(
        link: &Link,
        limits: &Limits,
        topic: &str,
        send: impl FnOnce(Kind) -> Result<(), SendError>,
        read: Read<R>,
    ) -> Self {
        let Limits { wire, request_timeout: timeout, .. } = *limits;
        let asked = || -> Result<Self, RequestError> {
            let topic = || topic.to_owned();
            let (id, answer) = link.questions.ask(timeout).map_err(|error| match error {
                AskError::TooMany { limit } => RequestError::TooManyRequests { topic: topic(), limit },
                AskError::Ended(cause) => RequestError::ConnectionLost { topic: topic(), cause },
            })?;
            // Made before the question is sent, so that no answer can be there sooner; dropped, it forgets the question.
            let question = Question {
                topic: topic().into(),
                wire,
                id,
                questions: Arc::clone(&link.questions),
                answer,
                asked: Instant::now(),
                timeout,
                settled: false,
            };
            send(Kind::Question(id.into()))?;
            Ok(Self { progress: Progress::Waiting(question), read })
        };
        asked().unwrap_or_else(|error| Self::failed(error, read))
    }

    /// The answer to a question that was not sent.
    pub(crate) fn failed(error: impl Into<RequestError>, read: Read<R>) -> Self {
        let error = error.into();
        Self { progress: Progress::Failed(error), read }
    }

    /// Sets how long the answer may take, from the call of `request`: `request_timeout` unless set.
    ///
    /// ```no_run
    /// # async fn example(client: socket_ipc::Client) -> Result<(), socket_ipc::RequestError> {
    /// use std::time::Duration;
    ///
    /// let report = client.request_raw("report", &"last year").within(Duration::from_secs(60)).await?;
    /// # Ok(()) }
    /// ```
    pub fn within(mut self, timeout: Duration) -> Self {
        if let Progress::Waiting(question) = &mut self.progress {
            let deadline = question.asked.checked_add(timeout);
            if question.questions.set_deadline(question.id, deadline) {
                question.timeout = timeout;
            }
        }
        self
    }
}

impl<R> Future for Answer<R> {
    type Output = Result<R, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.progress {
            Progress::Waiting(question) => ready!(question.poll(cx)),
            Progress::Failed(_) | Progress::Done => Err(Unanswered::Late),
        };
        match std::mem::replace(&mut self.progress, Progress::Done) {
            Progress::Waiting(question) => Poll::Ready(match outcome {
                Ok(envelope) => (self.read)(question.wire, &question.topic, &envelope),
                Err(unanswered) => Err(question.failed::<R>(unanswered)),
            }),
            Progress::Failed(error) => Poll::Ready(Err(error)),
            // It was awaited before.
            Progress::Done => Poll::Pending,
        }
    }
}

impl Question {
    /// Waits for what comes of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = ready!(Pin::new(&mut self.answer).poll(cx));
        self.settled = true;
        // Whoever holds the other end says something before it goes, but where the whole runtime does.
        Poll::Ready(outcome.unwrap_or(Err(Unanswered::Ended(CloseCause::Closed))))
    }

    /// The error of a question that has no answer of the type `R`.
    fn failed<R>(&self, unanswered: Unanswered) -> RequestError {
        let topic = self.topic.to_string();
        match unanswered {
            Unanswered::Late => RequestError::Timeout { topic, timeout: self.timeout },
            Unanswered::Ended(cause) => RequestError::ConnectionLost { topic, cause },
            Unanswered::NoRoom { limit } => RequestError::InboxFull { topic, limit },
            Unanswered::TooLong { size, limit } => RequestError::Undecodable {
                topic,
                type_name: std::any::type_name::<R>(),
                reason: format!("it takes {size} bytes, over the limit of {limit}: raise `max_message_len`"),
            },
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.settled {
            self.questions.forget(self.id);
        }
    }
}

impl<R> fmt::Debug for Answer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Answer");
        match &self.progress {
            Progress::Waiting(question) => debug.field("topic", &question.topic).field("id", &question.id),
            Progress::Failed(error) => debug.field("error", error),
            Progress::Done => &mut debug,
        };
        debug.finish_non_exhaustive()
    }
}

/// Reads the answer to the question `asked`, of a type.
pub(crate) fn read_typed<R>(wire: Wire, asked: &str, envelope: &[u8]) -> Result<R, RequestError>
where
    R: Topic + DeserializeOwned,
{
    let undecodable = |reason| {
        let (topic, type_name) = (asked.to_owned(), std::any::type_name::<R>());
        RequestError::Undecodable { topic, type_name, reason }
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
    refuse_refusal(asked, is_error || topic == REFUSAL_TOPIC, &message)?;
    Err(RequestError::UnexpectedTopic {
        topic: asked.to_owned(),
        found: topic.into_owned(),
        expected: R::NAME,
    })
}

/// Reads the answer to the question `asked`, of a topic that is known only at run time.
pub(crate) fn read_raw(
    wire: Wire,
    asked: &str,
    envelope: &[u8],
) -> Result<RawMessage<'static>, RequestError> {
    let Envelope { topic, message, is_error, .. } =
        wire.decode(envelope).map_err(|error| RequestError::Undecodable {
            topic: asked.to_owned(),
            type_name: "RawMessage",
            reason: error.to_string(),
        })?;
    // Which topic the reply should have is not known here: that of errors is taken for theirs.
    refuse_refusal(asked, is_error || topic == REFUSAL_TOPIC, &message)?;
    Ok(message.into_owned())
}

/// Turns a refusal into its error. One has the key `error`; older versions and hand-written programs leave it out, and are
/// known by the topic, where that is not the reply's own.
fn refuse_refusal(asked: &str, is_error: bool, message: &RawMessage<'_>) -> Result<(), RequestError> {
    if !is_error {
        return Ok(());
    }
    // Whatever a peer has to say counts, if not in the form that it should have.
    let refusal = message.decode().unwrap_or_else(|_| Refusal::new(Refusal::FAILED, message.as_str()));
    Err(RequestError::refused(asked, &refusal))
}
