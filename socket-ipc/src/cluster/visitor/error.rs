//! Why something that a visitor did failed.

use std::time::Duration;

use super::super::error::JoinError;
use crate::error::RequestError;

/// Why something that a visitor did failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VisitError {
    /// There is no NATS server at the URLs. One may come.
    #[error(transparent)]
    NotThere(JoinError),
    /// The options are wrong, or the NATS server does not let this program in.
    #[error(transparent)]
    Join(JoinError),
    /// The connection to the NATS server was lost.
    #[error("lost the NATS server")]
    LinkDown,
    /// The NATS server does not allow it.
    #[error("the NATS server does not allow it: {0}")]
    Refused(String),
    /// No node said that it has taken a message.
    #[error("no server has acknowledged `{topic}` within {silence:?}: it may not have arrived")]
    NotAcknowledged {
        /// The topic.
        topic: String,
        /// How long the visitor waited.
        silence: Duration,
    },
    /// No node offers the topic.
    #[error("no node of the domain `{domain}` offers `{topic}`")]
    NoResponder {
        /// The domain.
        domain: String,
        /// The topic.
        topic: String,
    },
    /// The node that has the request gave no sign of life.
    #[error("no reply to `{topic}`: its node gave no sign of life for {silence:?}")]
    Lost {
        /// The topic.
        topic: String,
        /// The silence limit.
        silence: Duration,
    },
    /// Items of a stream did not arrive.
    #[error("lost {count} or more items of `{topic}` on their way")]
    ItemsLost {
        /// The topic.
        topic: String,
        /// How many they are at least.
        count: u64,
    },
    /// It is longer than the NATS server allows.
    #[error(
        "cannot send `{topic}`: its {len} bytes are over the {limit} that the NATS server's `max_payload` leaves"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// Its length, in bytes.
        len: usize,
        /// The most that it may be, in bytes.
        limit: usize,
    },
    /// As on one machine.
    #[error(transparent)]
    Request(RequestError),
}
