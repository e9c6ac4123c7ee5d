//! From a message to the outbox of the connection to its peer.

use std::sync::Arc;

use serde::Serialize;
use tokio::task::consume_budget;

use super::peer_id::PeerId as _;
use super::state::Endpoint;
use crate::connection::{
    Limits, OpenStream, Outbox, PushError, Read, ReadItems, ReplyFuture, ReplyStream, encoded, queue_paced,
};
use crate::error::{RequestError, SendError};
use crate::topic::TopicName;
use crate::wire::{RequestId, Tail};

/// The longest message, in bytes, that is queued while the connection is looked up. A longer one holds the connection in
/// the meantime: nobody who connects or leaves has to wait until it is copied.
const SHORT: usize = 16 * 1024;

pub(crate) fn send<M: Serialize + ?Sized, E: Endpoint>(
    endpoint: &E,
    topic: TopicName<'_>,
    message: &M,
    to: E::Peer,
) -> Result<(), SendError> {
    let unready = &endpoint.core().unready;
    if unready.has(to) {
        let connection = connection(endpoint, topic, to)?;
        unready.set(to, false);
        return push(endpoint, &connection, Tail::Message, topic, message, to);
    }
    encoded(endpoint, Tail::Message, topic.as_str(), message, |bytes| {
        let queued =
            with_outbox(endpoint, to, bytes.len(), |outbox| queue(endpoint, outbox, topic, bytes, to));
        queued.unwrap_or_else(|| {
            unready.set(to, true);
            Err(endpoint.unreachable(topic.as_str(), to))
        })
    })?
}

pub(crate) async fn send_async<M: Serialize + ?Sized, E: Endpoint>(
    endpoint: &E,
    topic: TopicName<'_>,
    message: &M,
    to: E::Peer,
) -> Result<(), SendError> {
    let (unready, mut len) = (&endpoint.core().unready, 0);
    // Mostly there is room. Where there was none for the message before, this one would only be encoded twice.
    if !unready.has(to)
        && encoded(endpoint, Tail::Message, topic.as_str(), message, |bytes| {
            len = bytes.len();
            with_outbox(endpoint, to, len, |outbox| outbox.push_paced(bytes, topic)) == Some(Ok(()))
        })?
    {
        return Ok(());
    }
    let connection = match connection(endpoint, topic, to) {
        Ok(connection) => connection,
        Err(error) => {
            unready.set(to, true);
            // Otherwise a program that tries again in a loop would let no other task run.
            consume_budget().await;
            return Err(error);
        }
    };
    let outbox = &E::link(&connection).outbox;
    unready.set(to, !outbox.has_room(len));
    let queued = queue_paced(endpoint, outbox, topic, message, len).await?;
    if queued { Ok(()) } else { Err(endpoint.unreachable(topic.as_str(), to)) }
}

/// Sends a request. `is_cancelled` says whether the peer is told when the future is dropped.
pub(crate) fn request<M: Serialize + ?Sized, R, X, E: Endpoint>(
    endpoint: &E,
    topic: TopicName<'_>,
    request: &M,
    to: E::Peer,
    read: Read<R, X>,
    is_cancelled: bool,
) -> ReplyFuture<R, X> {
    match connection(endpoint, topic, to) {
        Ok(connection) => {
            let trace = current_trace();
            let send = |id: &RequestId| {
                let tail = Tail::Request { id, trace: trace.as_deref() };
                push(endpoint, &connection, tail, topic, request, to)
            };
            let (link, limits) = (E::link(&connection), endpoint.limits());
            ReplyFuture::begin(link, limits, topic.as_str(), send, read, is_cancelled)
        }
        Err(error) => ReplyFuture::failed(error, read),
    }
}

/// Encodes a request of a stream, which is sent when the stream is polled.
pub(crate) fn request_stream<M: Serialize + ?Sized, R: 'static, X: 'static, E: Endpoint>(
    endpoint: &Arc<E>,
    topic: TopicName<'_>,
    request: &M,
    to: E::Peer,
    read: ReadItems<R, X>,
) -> ReplyStream<R, X> {
    let (limits, name) = (endpoint.limits(), topic.as_str());
    if !limits.wire.has_control_lines() {
        return ReplyStream::failed(RequestError::NoStreams { topic: name.to_owned() }, read);
    }
    let mut line = match encoded(&**endpoint, Tail::Message, name, request, <[u8]>::to_vec) {
        Ok(line) => line,
        Err(error) => return ReplyStream::failed(error, read),
    };
    let (endpoint, name, topic, trace) =
        (Arc::clone(endpoint), name.to_owned(), topic.of_type(), current_trace());
    ReplyStream::new(limits, read, move |options| {
        let topic = topic.map_or(TopicName::AtRunTime(&name), TopicName::OfType);
        let connection = connection(&*endpoint, topic, to)?;
        let Limits { wire, max_message_len: limit, .. } = *endpoint.limits();
        let (link, outbox) = (E::link(&connection), &E::link(&connection).outbox);
        OpenStream::begin(link, wire, &name, options, |window, id| {
            wire.complete_stream_request(window, trace.as_deref(), id, &mut line);
            let size = line.len() - wire.delimiter().len();
            if size > limit {
                return Err(SendError::TooLarge { topic: name.clone(), size, limit });
            }
            queue(&*endpoint, outbox, topic, &line, to)
        })
    })
}

/// The JSON text of the trace that a request is sent in.
#[inline]
fn current_trace() -> Option<String> {
    #[cfg(feature = "otel")]
    return crate::trace::current();
    #[cfg(not(feature = "otel"))]
    None
}

/// What `with` makes of the outbox of the connection to a peer, while it takes messages. It is given `len` bytes.
#[inline]
fn with_outbox<E: Endpoint, R>(
    endpoint: &E,
    to: E::Peer,
    len: usize,
    with: impl FnOnce(&Outbox) -> R,
) -> Option<R> {
    if len <= SHORT {
        endpoint.with_link(to, |link| with(&link.outbox))
    } else {
        endpoint.connection(to).map(|connection| with(&E::link(&connection).outbox))
    }
}

fn connection<E: Endpoint>(
    endpoint: &E,
    topic: TopicName<'_>,
    to: E::Peer,
) -> Result<E::Connection, SendError> {
    endpoint.connection(to).ok_or_else(|| endpoint.unreachable(topic.as_str(), to))
}

fn push<M: Serialize + ?Sized, E: Endpoint>(
    endpoint: &E,
    connection: &E::Connection,
    tail: Tail<'_>,
    topic: TopicName<'_>,
    message: &M,
    to: E::Peer,
) -> Result<(), SendError> {
    let outbox = &E::link(connection).outbox;
    encoded(endpoint, tail, topic.as_str(), message, |bytes| queue(endpoint, outbox, topic, bytes, to))?
}

/// Queues an encoded message.
#[inline]
fn queue<E: Endpoint>(
    endpoint: &E,
    outbox: &Outbox,
    topic: TopicName<'_>,
    bytes: &[u8],
    to: E::Peer,
) -> Result<(), SendError> {
    let pushed = outbox.push(bytes, topic);
    pushed.map_err(|error| not_queued(endpoint, topic.as_str(), to, outbox, bytes.len(), error))
}

fn not_queued<E: Endpoint>(
    endpoint: &E,
    topic: &str,
    to: E::Peer,
    outbox: &Outbox,
    size: usize,
    error: PushError,
) -> SendError {
    match error {
        PushError::Ended => endpoint.unreachable(topic, to),
        PushError::Full { queued } => {
            let (topic, limit) = (topic.to_owned(), outbox.limit());
            SendError::OutboxFull { topic, client_id: to.client_id(), size, queued, limit }
        }
        PushError::TotalFull => SendError::outbox_total_full(topic, size, outbox.total()),
    }
}
