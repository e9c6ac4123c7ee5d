//! Why a message is not queued.

use std::path::PathBuf;

use crate::client_id::ClientId;
use crate::wire::EncodeError;

/// Why a message was not queued. Nothing of it was sent.
///
/// ```
/// use socket_ipc::{Client, SendError};
///
/// let client = Client::new("/tmp/myApp.sock");
/// let error = client.send_raw("hello", &"world").unwrap_err();
/// assert!(matches!(error, SendError::NotConnected { .. }));
/// ```
///
/// [Troubleshooting](crate::guide::troubleshooting#when-a-send-fails) has what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No client with this id is connected.
    #[error("cannot send `{topic}` to client {client_id}: no such client is connected")]
    UnknownClient {
        /// The topic of the message.
        topic: String,
        /// The id that no connected client has.
        client_id: ClientId,
    },
    /// The client has no connection at the moment.
    #[error("cannot send `{topic}`: not connected to {}", path.display())]
    NotConnected {
        /// The topic of the message.
        topic: String,
        /// The path of the server's socket.
        path: PathBuf,
    },
    /// The server or the client is closed, or closing.
    #[error("cannot send `{topic}`: {} is closed", path.display())]
    Closed {
        /// The topic of the message.
        topic: String,
        /// The path of the socket.
        path: PathBuf,
    },
    /// The encoded envelope is longer than `max_message_len`, a limit that the peer has, too.
    #[error(
        "a message of `{topic}` takes {size} bytes, over the limit of {limit}: send less, or raise `max_message_len` \
         at both ends"
    )]
    TooLarge {
        /// The topic of the message.
        topic: String,
        /// Length of the encoded envelope without the delimiter, in bytes.
        size: usize,
        /// `max_message_len`, in bytes.
        limit: usize,
    },
    /// The topic is longer than `max_topic_len`.
    #[error(
        "the topic `{topic}` takes {size} bytes, over the limit of {limit}: shorten it, or raise `max_topic_len` at both ends"
    )]
    TopicTooLong {
        /// The topic, truncated at the limit.
        topic: String,
        /// Its length in bytes.
        size: usize,
        /// `max_topic_len`, in bytes.
        limit: usize,
    },
    /// The message can't be written as JSON.
    #[error("cannot encode a message of `{topic}`: {cause}")]
    Encode {
        /// The topic of the message.
        topic: String,
        /// The error of the message's `Serialize`, or of serde_json.
        cause: EncodeError,
    },
    /// The message's `Serialize` implementation panicked.
    #[error("cannot encode a message of `{topic}`: its `Serialize` panicked: {panic}")]
    EncodePanicked {
        /// The topic of the message.
        topic: String,
        /// The text of the panic.
        panic: String,
    },
    /// The outbox has no room for the message. The connection lives on: wait with `send_async`, or try again later.
    #[error(
        "the outbox of {} holds {queued} of {limit} bytes, no room for the {size} of `{topic}`: use `send_async`, or \
         try again later",
        outbox_of(*client_id)
    )]
    OutboxFull {
        /// The topic of the message.
        topic: String,
        /// The client that the outbox is for; `None` for a client's own outbox.
        client_id: Option<ClientId>,
        /// Length of the encoded message, in bytes.
        size: usize,
        /// How much is queued, in bytes.
        queued: usize,
        /// `outbox_len`, in bytes.
        limit: usize,
    },
    /// All outboxes of the server together have no room for the message, whichever client fills them. Wait with
    /// `send_async` or `broadcast_async`, or try again later.
    #[error(
        "all outboxes together hold {queued} of {limit} bytes, no room for the {size} of `{topic}`: use `send_async` or \
         `broadcast_async`, try again later, or raise `outbox_total_len`"
    )]
    OutboxTotalFull {
        /// The topic of the message.
        topic: String,
        /// What the message counts, in bytes: a broadcast of less than 16 KiB counts once for each client.
        size: usize,
        /// How much is queued in all outboxes together, in bytes.
        queued: usize,
        /// `outbox_total_len`, in bytes.
        limit: usize,
    },
}

fn outbox_of(client_id: Option<ClientId>) -> String {
    client_id.map_or_else(|| "this client".to_owned(), |id| format!("client {id}"))
}

impl SendError {
    pub(crate) fn outbox_total_full(topic: &str, size: usize, (queued, limit): (usize, usize)) -> Self {
        Self::OutboxTotalFull { topic: topic.to_owned(), size, queued, limit }
    }

    pub(crate) fn encode(topic: &str, error: EncodeError) -> Self {
        let topic = topic.to_owned();
        match error {
            EncodeError::TooLarge { size, limit } => Self::TooLarge { topic, size, limit },
            cause => Self::Encode { topic, cause },
        }
    }
}

/// There was no connection, or it ended before everything queued was written.
///
/// ```
/// use socket_ipc::Client;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = Client::new("/tmp/myApp.sock");
/// assert_eq!(client.flush().await.unwrap_err().path.to_str(), Some("/tmp/myApp.sock"));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot flush: not connected to {}, or no longer", path.display())]
#[non_exhaustive]
pub struct FlushError {
    /// The path of the server's socket.
    pub path: PathBuf,
}
