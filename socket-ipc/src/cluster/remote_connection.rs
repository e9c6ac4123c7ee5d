//! A connection in memory between the requests of another node and this server.
//!
//! The server reads from it what it would read from a client: lines of its wire. So everything that holds for the
//! requests of clients holds for those of other nodes: limits, budgets, cancellation, panics that are caught.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt as _, DuplexStream, WriteHalf};
use tokio::sync::mpsc;

use super::remote_replies;
use super::shared::Shared;
use super::taken::{Requester, Responder, Taken};
use super::taken_stream::TakenStream;
use crate::error::error_reply::ErrorReply;
use crate::wire::{RequestId, Tail, Window, Wire};

/// How many bytes of lines may be between the two ends.
pub(super) const PIPE_LEN: usize = 64 * 1024;

/// How many messages and requests may wait to be written.
const LINES: usize = 1024;

/// What is to be written.
enum Line {
    /// A message or a request.
    Counted(Vec<u8>),
    /// A cancel: one for each request.
    Cancel(Vec<u8>),
    /// The window of the stream with this number. There is at most one for each.
    Window(u64, Arc<TakenStream>),
}

/// One connection. In the server it has the number of a requester on another machine.
///
/// It ends with its last owner: what is queued is written, and the server then finds the end of the stream.
pub(super) struct RemoteConnection {
    lines: mpsc::UnboundedSender<Line>,
    /// How many messages and requests wait to be written.
    waiting: Arc<AtomicUsize>,
    pub(super) wire: Wire,
    max_message_len: usize,
    /// How many requests it has in flight, and how many it may have.
    pub(super) in_flight: AtomicUsize,
    max_requests: usize,
    /// The server has ended it: no further reply comes.
    pub(super) ended: AtomicBool,
}

impl RemoteConnection {
    /// Makes a connection, and runs it. `None` where the server closes.
    pub(super) fn open(shared: &Arc<Shared>) -> Option<Arc<Self>> {
        let limits = shared.server.limits();
        let (ours, theirs) = tokio::io::duplex(PIPE_LEN);
        // Not an owner: the server would keep the node.
        let weak = Arc::downgrade(shared);
        shared.server.admit_remote(theirs, move |number| weak.upgrade()?.origin(number))?;
        let (lines, to_write) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let connection = Arc::new(Self {
            lines,
            waiting: Arc::clone(&waiting),
            wire: limits.wire,
            max_message_len: limits.max_message_len,
            in_flight: AtomicUsize::new(0),
            max_requests: limits.max_requests,
            ended: AtomicBool::new(false),
        });
        let (reader, writer) = tokio::io::split(ours);
        shared.spawn(write(writer, to_write, limits.wire, waiting));
        // Not an owner: the connection would keep itself.
        let (reading, to) = (Arc::clone(shared), Arc::downgrade(&connection));
        shared.spawn(async move { remote_replies::read(&reading, &to, reader).await });
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

    /// Hands a request to the responder of the server: with a window, one of a stream. `Err` says why it is not there.
    pub(super) fn request(
        self: &Arc<Self>,
        taken: &Taken,
        topic: &str,
        message: &RawValue,
        from: Requester,
        trace: Option<&str>,
        window: Option<u64>,
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
        let (id, stream) = (RequestId::from(number), window.map(|window| Arc::new(TakenStream::new(window))));
        taken.begin(number, from, Responder::Server(Arc::clone(self)), stream);
        let mut pushed = match window {
            None => self.push(topic, message, Tail::Request { id: &id, trace }),
            Some(window) => self.push_stream(topic, message, trace, &id, window),
        };
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
        let line = control_line(self.wire, "socket-ipc.cancel", &number.to_string());
        // An error means that the server has ended the connection.
        let _ = self.lines.send(Line::Cancel(line));
    }

    /// Tells the server that the window of a stream is open further.
    pub(super) fn open_window(&self, number: u64, stream: &Arc<TakenStream>) {
        let _ = self.lines.send(Line::Window(number, Arc::clone(stream)));
    }

    fn push(&self, topic: &str, message: &RawValue, tail: Tail<'_>) -> Result<(), ErrorReply> {
        self.queue(self.encoded(topic, message, tail)?)
    }

    fn push_stream(
        &self,
        topic: &str,
        message: &RawValue,
        trace: Option<&str>,
        id: &RequestId,
        window: u64,
    ) -> Result<(), ErrorReply> {
        let mut line = self.encoded(topic, message, Tail::Message)?;
        self.wire.complete_stream_request(Window::Bytes(window), trace, id, &mut line);
        self.queue(line)
    }

    fn encoded(&self, topic: &str, message: &RawValue, tail: Tail<'_>) -> Result<Vec<u8>, ErrorReply> {
        let mut line = Vec::with_capacity(topic.len() + message.get().len() + 96);
        self.wire
            .encode_within(self.max_message_len, tail, topic, message, &mut line)
            .map_err(|error| ErrorReply::new(ErrorReply::UNDECODABLE, error.to_string()))?;
        Ok(line)
    }

    fn queue(&self, line: Vec<u8>) -> Result<(), ErrorReply> {
        let is_full = self.waiting.fetch_add(1, Ordering::AcqRel) >= LINES;
        if is_full || self.lines.send(Line::Counted(line)).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            let text = "too many requests wait for this server";
            return Err(ErrorReply::new(ErrorReply::TOO_MANY_REQUESTS, text));
        }
        Ok(())
    }
}

/// The error reply to a request that comes too late.
pub(super) fn server_closes() -> ErrorReply {
    ErrorReply::new(ErrorReply::CLOSING, "the server closes")
}

async fn write(
    mut writer: WriteHalf<DuplexStream>,
    mut lines: mpsc::UnboundedReceiver<Line>,
    wire: Wire,
    waiting: Arc<AtomicUsize>,
) {
    while let Some(line) = lines.recv().await {
        let line = match line {
            Line::Counted(line) => {
                waiting.fetch_sub(1, Ordering::AcqRel);
                line
            }
            Line::Cancel(line) => line,
            Line::Window(number, stream) => {
                let message = format!("[{number},{}]", stream.take_due());
                control_line(wire, "socket-ipc.more", &message)
            }
        };
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
    // An error means that the server has ended the connection before.
    let _ = writer.shutdown().await;
}

/// A control line for the server.
fn control_line(wire: Wire, topic: &str, message: &str) -> Vec<u8> {
    let (key, delimiter) = (wire.message_key(), wire.delimiter());
    format!(r#"{{"topic":"{topic}","{key}":{message},"re":0}}{delimiter}"#).into_bytes()
}
