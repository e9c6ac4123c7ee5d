//! What this server replies to the requests of other nodes, on its way to NATS.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use async_nats::Subject;
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, DuplexStream, ReadHalf};

use super::items::Batch;
use super::remote_connection::{PIPE_LEN, RemoteConnection, server_closes};
use super::shared::Shared;
use super::taken::ReplyAt;
use super::taken_stream::TakenStream;
use crate::error::error_reply::ErrorReply;
use crate::wire::{Envelope, EnvelopeKind, StreamPart};

/// Publishes the replies of the server, and, when it ends the connection, that there are no more.
pub(super) async fn read(
    shared: &Shared,
    connection: &Weak<RemoteConnection>,
    mut reader: ReadHalf<DuplexStream>,
) {
    let wire = shared.server.limits().wire;
    let delimiter = memmem::Finder::new(wire.delimiter().as_bytes()).into_owned();
    let (mut buffer, mut searched) = (Vec::with_capacity(PIPE_LEN), 0_usize);
    let mut items = Items::default();
    while reader.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        let mut begin = 0;
        while let Some(at) = delimiter.find(&buffer[searched..]) {
            let end = searched + at;
            // Without an owner nobody waits for a reply.
            if let Some(connection) = connection.upgrade() {
                take(shared, &connection, &mut items, &buffer[begin..end]).await;
            }
            begin = end + delimiter.needle().len();
            searched = begin;
        }
        items.publish(shared).await;
        buffer.drain(..begin);
        searched = (buffer.len() + 1).saturating_sub(delimiter.needle().len());
    }
    let Some(connection) = connection.upgrade() else { return };
    connection.ended.store(true, Ordering::Release);
    for reply in shared.taken.take_of(&connection) {
        shared.end_with(reply, &server_closes()).await;
    }
}

/// Items of one stream that the server has sent one after another, and that are not published yet.
#[derive(Default)]
struct Items(Option<OfStream>);

struct OfStream {
    number: u64,
    reply: Subject,
    stream: Arc<TakenStream>,
    batch: Batch,
}

impl Items {
    async fn publish(&mut self, shared: &Shared) {
        if let Some(OfStream { reply, stream, batch, .. }) = self.0.take() {
            shared.publish_items(reply, &stream, batch).await;
        }
    }
}

/// Takes one line of the server. What is no reply is for clients.
async fn take(shared: &Shared, connection: &RemoteConnection, items: &mut Items, line: &[u8]) {
    let Ok(envelope) = connection.wire.decode(line) else { return };
    let EnvelopeKind::Reply(re) = &envelope.kind else { return };
    let Some(number) = re.number() else { return };
    if envelope.stream == StreamPart::Item {
        return take_item(shared, connection, items, number, line.len(), envelope.message.as_str()).await;
    }
    // What comes after the items is published after them.
    items.publish(shared).await;
    if envelope.stream == StreamPart::Started {
        if let Some(reply) = shared.taken.begin_items(number) {
            shared.publish_sign(number, reply, Some(1)).await;
        }
        return;
    }
    // One that was cancelled is no longer in the table.
    let Some(reply) = shared.taken.finish(number) else { return };
    connection.in_flight.fetch_sub(1, Ordering::AcqRel);
    end(shared, reply, &envelope).await;
}

async fn take_item(
    shared: &Shared,
    connection: &RemoteConnection,
    items: &mut Items,
    number: u64,
    line: usize,
    text: &str,
) {
    let limit = shared.max_payload();
    let fits = |of: &OfStream| of.number == number && of.batch.has_room(text, limit);
    if !items.0.as_ref().is_some_and(fits) {
        items.publish(shared).await;
        let Some((reply, stream)) = shared.taken.stream(number) else { return };
        if text.len() > limit {
            if let Some(reply) = shared.taken.cancel(number) {
                shared.end_with(reply, &too_long(text.len(), limit)).await;
            }
            return;
        }
        items.0 = Some(OfStream { number, reply, stream, batch: Batch::default() });
    }
    if let Some(OfStream { stream, batch, .. }) = &mut items.0 {
        batch.push(text);
        if stream.has_sent(line, text.len()) {
            connection.open_window(number, stream);
        }
    }
}

/// The error reply where an item is too long for NATS.
pub(super) fn too_long(len: usize, limit: usize) -> ErrorReply {
    let text = format!(
        "an item of {len} bytes is over the {limit} that the NATS server's `max_payload` leaves for it"
    );
    ErrorReply::new(ErrorReply::FAILED, text)
}

/// Publishes a reply, or the end of a stream.
async fn end(shared: &Shared, reply: ReplyAt, envelope: &Envelope<'_>) {
    if envelope.is_error {
        let error = envelope.message.decode::<ErrorReply>();
        let error = error.unwrap_or_else(|_| ErrorReply::new(ErrorReply::FAILED, envelope.message.as_str()));
        return shared.end_with(reply, &error).await;
    }
    match reply.stream.as_ref().and_then(|stream| stream.next()) {
        Some(next) => shared.publish_end(reply.subject, next).await,
        // A plain reply: the requester of a stream is told by it that there is none.
        None => shared.reply(reply.subject, envelope.message.as_str().as_bytes().to_vec()).await,
    }
}
