//! Why a reply was not sent.

use std::fmt;

use super::reply_sender::ReplySender;
use crate::client_id::ClientId;
use crate::error::SendError;
use crate::topic::Request;

/// Why a [`ReplySender`] did not send its reply.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{ReplyError, ReplySender, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "list", reply = Vec<String>)]
/// struct List;
///
/// async fn reply_with(reply: ReplySender<List>, jobs: Vec<String>) {
///     match reply.send(Ok(jobs)) {
///         Ok(()) => {}
///         // The client has not read what it requested before: it gets this reply once it has.
///         Err(ReplyError::OutboxFull { sender, reply, .. }) => drop(sender.send_async(reply).await),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError<T: Request, Peer = ClientId> {
    /// The requester has given up: it dropped the future of the reply, or waited for `request_timeout`.
    #[error("nobody waits for the reply to `{topic}` any more: the request was cancelled")]
    Cancelled {
        /// The topic of the request.
        topic: &'static str,
    },
    /// The connection that the request came over has ended.
    #[error("nobody waits for the reply to `{topic}` any more: the connection has ended")]
    Closed {
        /// The topic of the request.
        topic: &'static str,
    },
    /// The outbox has no room for the reply. Sender and reply are given back.
    #[error(
        "no room for a reply of {size} bytes to `{}`: {queued} of {limit} bytes are queued; wait with `send_async`",
        T::NAME
    )]
    OutboxFull {
        /// Sends the reply later.
        sender: ReplySender<T, Peer>,
        /// The reply, as it was given.
        reply: Result<T::Reply, T::Error>,
        /// The length of the encoded reply, in bytes.
        size: usize,
        /// How much is queued, in bytes.
        queued: usize,
        /// The most that may be queued, in bytes: `outbox_len`, or `outbox_total_len`.
        limit: usize,
    },
    /// The reply can't be encoded, or is too long. The requester gets an error reply that says so.
    #[error(transparent)]
    Unsendable(SendError),
}

// Not derived: replies need not be `Debug`.
impl<T: Request, Peer: fmt::Debug> fmt::Debug for ReplyError<T, Peer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled { topic } => f.debug_struct("Cancelled").field("topic", topic).finish(),
            Self::Closed { topic } => f.debug_struct("Closed").field("topic", topic).finish(),
            Self::OutboxFull { sender, size, queued, limit, .. } => f
                .debug_struct("OutboxFull")
                .field("sender", sender)
                .field("size", size)
                .field("queued", queued)
                .field("limit", limit)
                .finish_non_exhaustive(),
            Self::Unsendable(error) => f.debug_tuple("Unsendable").field(error).finish(),
        }
    }
}
