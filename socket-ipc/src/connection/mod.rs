//! One socket: a session reads it and calls the listeners, an outbox holds the bytes to write.
//!
//! ```text
//!   stream ─▶ ReadBuffer ─▶ Framer ─▶ Router ─▶ listeners
//!     ▲                                            │ send
//!     └───────────── Session ◀──── Outbox ◀────────┘   (and from any other thread)
//! ```
//!
//! Each connection is one task. Sending appends to the outbox under a short lock, and wakes that task only if it sleeps
//! with nothing to write.

mod buffer_pool;
mod closing;
mod context;
mod control;
mod deadline_timer;
mod encode;
mod inbox;
mod item_queue;
mod item_sender;
mod open_stream;
mod outbox;
mod pending_requests;
mod read_buffer;
mod reply;
mod reply_future;
mod reply_scanner;
mod reply_stream;
mod running_responders;
mod session;
mod transport;
mod turn_waker;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use crate::error::error_reply::ErrorReply;
use crate::error::{Error, MessageError};
use crate::events::CloseCause;
use crate::metrics::Metrics;
use crate::router::Router;
use crate::wire::{AttemptKind, Envelope, RequestId, Wire};

pub use closing::Closing;
#[cfg(any(test, fuzzing))]
pub(crate) use control::Control;
pub(crate) use encode::{encoded, queue_paced};
pub(crate) use inbox::InboxBudget;
#[cfg(feature = "nats")]
pub(crate) use item_queue::{Arrival, End, ItemQueue, Lines, Stored};
pub(crate) use item_sender::ItemSender;
pub(crate) use open_stream::{OpenStream, ReadItems, read_items, read_raw_items};
pub(crate) use outbox::{
    BroadcastLog, CloseCommand, LatestBroadcast, Outbox, OutboxBudget, Placed, PushError, Unsent, counted_for,
};
pub(crate) use pending_requests::{Cancels, PendingRequests};
pub(crate) use reply::{
    NotReplied, Outcome, reply, reply_or_hold, reply_with_room, reply_within, request_span,
};
pub use reply_future::ReplyFuture;
#[cfg(feature = "nats")]
pub(crate) use reply_future::typed_error;
pub(crate) use reply_future::{Read, read_raw, read_typed};
#[cfg(any(test, fuzzing))]
pub(crate) use reply_scanner::may_be_reply;
pub use reply_stream::ReplyStream;
pub(crate) use session::Session;
pub(crate) use transport::Transport;

/// The endpoint of a connection: a server or a client. `From` says where a message is from.
pub(crate) trait EndpointState: Send + Sync + 'static {
    type From: Copy + Send + Sync + Unpin + 'static;

    /// Why a connection ends whose peer takes no bytes.
    const SLOW_CONSUMER: CloseCause;

    fn router(&self) -> &Router<Self::From>;
    fn limits(&self) -> &Limits;
    fn metrics(&self) -> &Metrics;
    /// The budget of the bytes that its connections have received.
    fn inbox(&self) -> &Arc<InboxBudget>;
    /// Whether a connection of it is the only one.
    fn has_one_connection(&self) -> bool;
    /// Whether the program decides which messages are dispatched.
    fn authorizes(&self) -> bool {
        false
    }
    /// Asks the program whether a message may be dispatched. `Err` says why not.
    fn authorize(
        &self,
        _envelope: &Envelope<'_>,
        _kind: AttemptKind,
        _from: Self::From,
    ) -> Result<(), ErrorReply> {
        Ok(())
    }
    /// The user of a peer, where it is known.
    fn user_of(&self, from: Self::From) -> Option<u32>;
    /// Whether a peer is known to be a process of this process's own user.
    #[cfg(feature = "otel")]
    fn is_own_user(&self, _from: Self::From) -> bool {
        false
    }
    fn message_error(&self, error: MessageError, from: Self::From);
    fn listener_panicked(&self, listens_for: String, from: Self::From, panic: String);
    fn error(&self, error: Error);
    /// A reply arrived, and no request waits for it.
    fn late_reply(&self, re: &RequestId, topic: &str, from: Self::From);
}

/// The parts of a connection that its senders and requesters share.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) pending_requests: Arc<PendingRequests>,
}

/// The limits of a connection: the options that a server and a client have in common.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) wire: Wire,
    pub(crate) max_message_len: usize,
    pub(crate) max_topic_len: usize,
    pub(crate) outbox_len: usize,
    pub(crate) write_stall: Duration,
    pub(crate) incomplete_timeout: Duration,
    pub(crate) drain: Duration,
    /// How many requests may wait for their replies, and how many responders may run.
    pub(crate) max_requests: usize,
    /// How far a connection reads ahead behind a message that is held back.
    pub(crate) read_ahead_len: usize,
    /// How many bytes of items of a stream may lie unread.
    pub(crate) stream_window: u64,
    pub(crate) request_timeout: Duration,
    /// How many bytes of a message a `MessageError` keeps.
    pub(crate) raw_len: usize,
    /// Whether requests of peers continue their traces here.
    #[cfg(feature = "otel")]
    pub(crate) accepts_traces: bool,
}

impl Default for Limits {
    fn default() -> Self {
        use crate::limits;
        Self {
            wire: Wire::default(),
            max_message_len: limits::MESSAGE_LEN,
            max_topic_len: limits::TOPIC_LEN,
            outbox_len: limits::OUTBOX_LEN,
            write_stall: limits::WRITE_STALL,
            incomplete_timeout: limits::INCOMPLETE_TIMEOUT,
            drain: limits::DRAIN,
            max_requests: limits::MAX_REQUESTS,
            read_ahead_len: limits::READ_AHEAD_LEN,
            stream_window: limits::STREAM_WINDOW,
            request_timeout: limits::REQUEST_TIMEOUT,
            raw_len: limits::RAW_LEN,
            #[cfg(feature = "otel")]
            accepts_traces: false,
        }
    }
}
