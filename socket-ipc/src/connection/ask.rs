//! A question on its way out.

use super::answer::{Answer, Read};
use super::questions::AskError;
use super::{Limits, Link};
use crate::error::{RequestError, SendError};
use crate::wire::Kind;

/// Asks over a connection: `send` queues the question. What goes wrong is found in the answer.
pub(crate) fn ask<R>(
    link: &Link,
    limits: &Limits,
    topic: &str,
    send: impl FnOnce(Kind) -> Result<(), SendError>,
    read: Read<R>,
) -> Answer<R> {
    let asked = || -> Result<Answer<R>, RequestError> {
        let (id, answer) = link.questions.ask().map_err(|error| match error {
            AskError::TooMany { limit } => RequestError::TooManyRequests { topic: topic.to_owned(), limit },
            AskError::Ended(cause) => RequestError::ConnectionLost { topic: topic.to_owned(), cause },
        })?;
        // Made before the question is sent, so that no answer can be there sooner; dropped, it forgets the question.
        let answer = Answer::new(topic, id, &link.questions, answer, limits.request_timeout, read);
        send(Kind::Question(id))?;
        Ok(answer)
    };
    asked().unwrap_or_else(|error| Answer::failed(error, read))
}
