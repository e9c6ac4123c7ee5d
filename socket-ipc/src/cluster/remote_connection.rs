//! A connection in memory between the requests of another node and this server.
//!
//! The server reads from it what it would read from a client: lines of its wire. So everything that holds for the
//! requests of clients holds for those of other nodes: limits, budgets, cancellation, panics that are caught.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use async_nats::Subject;
use memchr::memmem;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::node::NodeId;
use super::shared::Shared;
use super::taken::{Responder, Taken};
use crate::error::error_reply::ErrorReply;
use crate::wire::{EnvelopeKind, RequestId, Tail, Wire};

/// How many bytes of lines may be between the two ends.
const PIPE_LEN: usize = 64 * 1024;

/// How many lines may wait to be written.
const LINES: usize = 1024;

/// One connection. In the server it has the number of a requester on another machine.
///
/// It ends with its last owner: what is queued is written, and the server then finds the end of the stream.
pub(super) struct RemoteConnection {
    lines: mpsc::Sender<Vec<u8>>,
    wire: Wire,
    max_message_len: usize,
    /// How many requests it has in flight, and how many it may have.
    in_flight: AtomicUsize,
    max_requests: usize,
    /// The server has ended it: no further reply comes.
    ended: AtomicBool,
}

impl RemoteConnection {
    /// Makes a connection, and runs it. `None` where the server closes.
    pub(super) fn open(shared: &Arc<Shared>) -> Option<Arc<Self>> {
        let limits = shared.server.limits();
        let (ours, theirs) = tokio::io::duplex(PIPE_LEN);
        // Not an owner: the server would keep the node.
        let weak = Arc::downgrade(shared);
        shared.server.admit_remote(theirs, move |number| weak.upgrade()?.origin(number))?;
        let (lines, to_write) = mpsc::channel(LINES);
        let connection = Arc::new(Self {
            lines,
            wire: limits.wire,
            max_message_len: limits.max_message_len,
            in_flight: AtomicUsize::new(0),
            max_requests: limits.max_requests,
            ended: AtomicBool::new(false),
        });
        let (reader, writer) = tokio::io::split(ours);
        shared.spawn(write(writer, to_write));
        // Not an owner: the connection would keep itself.
        let (reading, to) = (Arc::clone(shared), Arc::downgrade(&connection));
        shared.spawn(async move { read(&reading, &to, reader).await });
        Some(connection)
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.lines.is_closed()
    }

    /// Hands a message to the listeners of the server.
    pub(super) fn message(&self, topic: &str, message: &RawValue) -> Result<(), ErrorReply> {
        self.push(topic, message, Tail::Message)
    }

    /// Hands a request to the responder of the server. `Err` says why it is not there.
    pub(super) fn request(
        self: &Arc<Self>,
        taken: &Taken,
        topic: &str,
        message: &RawValue,
        reply: Subject,
        requester: Option<NodeId>,
        until: Option<Instant>,
    ) -> Result<(), ErrorReply> {
        // Before anything else: whatever takes the request out of the table counts it back.
        if self.in_flight.fetch_add(1, Ordering::AcqRel) >= self.max_requests {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            let text = format!(
                "{} requests of one node are in flight, the most that `max_requests` allows",
                self.max_requests
            );
            return Err(ErrorReply::new(ErrorReply::TOO_MANY_REQUESTS, text));
        }
        // Before it is handed over: the reply may come at once.
        let number = taken.number();
        taken.begin(number, reply, requester, until, Responder::Server(Arc::clone(self)));
        let mut pushed =
            self.push(topic, message, Tail::Request { id: &RequestId::from(number), trace: None });
        // Looked at behind `begin`: the end is noted before the requests are taken out.
        if self.has_ended() {
            pushed = Err(server_closes());
        }
        let Err(error) = pushed else { return Ok(()) };
        if taken.finish(number).is_none() {
            // It was cancelled, or told of the end, meanwhile.
            return Ok(());
        }
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        Err(error)
    }

    /// Nobody waits for the reply to a request any more.
    pub(super) fn cancel(&self, number: u64) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if !self.wire.has_control_lines() {
            return;
        }
        let mut line = format!(r#"{{"topic":"socket-ipc.cancel","message":{number},"re":0}}"#).into_bytes();
        line.extend_from_slice(self.wire.delimiter().as_bytes());
        // Without room the responder runs on, and its reply is dropped.
        let _ = self.lines.try_send(line);
    }

    fn push(&self, topic: &str, message: &RawValue, tail: Tail<'_>) -> Result<(), ErrorReply> {
        let mut line = Vec::with_capacity(topic.len() + message.get().len() + 64);
        self.wire
            .encode_within(self.max_message_len, tail, topic, message, &mut line)
            .map_err(|error| ErrorReply::new(ErrorReply::UNDECODABLE, error.to_string()))?;
        self.lines.try_send(line).map_err(|_| {
            ErrorReply::new(ErrorReply::TOO_MANY_REQUESTS, "too many requests wait for this server")
        })
    }
}

async fn write(mut writer: WriteHalf<DuplexStream>, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
    // An error means that the server has ended the connection before.
    let _ = writer.shutdown().await;
}

/// Publishes the replies of the server, and, when it ends the connection, that there are no more.
async fn read(shared: &Shared, connection: &Weak<RemoteConnection>, mut reader: ReadHalf<DuplexStream>) {
    let wire = shared.server.limits().wire;
    let delimiter = memmem::Finder::new(wire.delimiter().as_bytes()).into_owned();
    let (mut buffer, mut searched) = (Vec::with_capacity(PIPE_LEN), 0_usize);
    while reader.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        let mut begin = 0;
        while let Some(at) = delimiter.find(&buffer[searched..]) {
            let end = searched + at;
            // Without an owner nobody waits for a reply.
            if let Some(connection) = connection.upgrade() {
                reply(shared, &connection, &buffer[begin..end]).await;
            }
            begin = end + delimiter.needle().len();
            searched = begin;
        }
        buffer.drain(..begin);
        searched = (buffer.len() + 1).saturating_sub(delimiter.needle().len());
    }
    let Some(connection) = connection.upgrade() else { return };
    connection.ended.store(true, Ordering::Release);
    for reply in shared.taken.take_of(&connection) {
        shared.reply_error(reply, &server_closes()).await;
    }
}

/// The error reply to a request that comes too late.
pub(super) fn server_closes() -> ErrorReply {
    ErrorReply::new(ErrorReply::CLOSING, "the server closes")
}

/// Publishes one reply of the server. Everything else that it writes is for clients.
async fn reply(shared: &Shared, connection: &RemoteConnection, line: &[u8]) {
    let Ok(envelope) = connection.wire.decode(line) else { return };
    let EnvelopeKind::Reply(re) = &envelope.kind else { return };
    // One that was cancelled is no longer in the table.
    let Some(reply) = re.number().and_then(|number| shared.taken.finish(number)) else { return };
    connection.in_flight.fetch_sub(1, Ordering::AcqRel);
    let payload = envelope.message.as_str().as_bytes().to_vec();
    if !envelope.is_error {
        return shared.reply(reply, payload).await;
    }
    match envelope.message.decode::<ErrorReply>() {
        Ok(error) => shared.reply_error(reply, &error).await,
        Err(_) => {
            shared.reply_error(reply, &ErrorReply::new(ErrorReply::FAILED, envelope.message.as_str())).await
        }
    }
}
