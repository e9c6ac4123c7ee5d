//! Streams that other nodes have requested of the clients of this one.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::value::RawValue;

use super::client_errors;
use super::headers::ErrorFrom;
use super::items::Batch;
use super::remote_replies::too_long;
use super::shared::Shared;
use super::taken::{Requester, Responder};
use super::taken_stream::TakenStream;
use crate::client_id::ClientId;
use crate::connection::ReplyStream;
use crate::error::error_reply::ErrorReply;
use crate::router::TooLong;
use crate::wire::Window;
use crate::wire::raw_message::RawMessage;

type Items = ReplyStream<RawMessage<'static>, RawMessage<'static>>;

/// How a stream ends, unless it was cancelled.
type Ended = Result<(), (ErrorFrom, ErrorReply)>;

/// Requests a stream of a client, in a task of its own.
pub(super) fn begin(
    shared: &Arc<Shared>,
    topic: &str,
    text: &RawValue,
    client: ClientId,
    from: Requester,
    window: u64,
) {
    let (number, stream) = (shared.taken.number(), Arc::new(TakenStream::new(window)));
    let mut items = shared.server.request_stream_raw(topic, text, client);
    items = items.window(shared.window_here(Window::Bytes(window)));
    if from.until.is_none() {
        // Its requester is a node, whose deadline is the one that holds.
        items = items.timeout(Duration::MAX);
    }
    let (sending, sent) = (Arc::clone(shared), Arc::clone(&stream));
    let (begin, may_begin) = tokio::sync::oneshot::channel::<()>();
    let task = shared.spawn(async move {
        // An error means that everything ends.
        let _ = may_begin.await;
        let ended = send(&sending, number, &sent, items).await;
        // One that was cancelled is no longer in the table.
        let Some(reply) = sending.taken.finish(number) else { return };
        match (ended, sent.next()) {
            (Err((from, error)), _) => sending.end_with_from(from, reply, &error).await,
            (Ok(()), next) => sending.publish_end(reply.subject, next.unwrap_or(1)).await,
        }
    });
    shared.taken.begin(number, from, Responder::Client(task), Some(stream));
    let _ = begin.send(());
}

/// Publishes the items while the window of the requester is open.
async fn send(shared: &Shared, number: u64, stream: &TakenStream, mut items: Items) -> Ended {
    items.started().await.map_err(client_errors::of_request)?;
    let Some(reply) = shared.taken.begin_items(number) else { return Ok(()) };
    shared.publish_sign(number, reply.clone(), Some(1)).await;
    let mut left = None;
    loop {
        poll_fn(|cx| stream.of_client.poll_open(cx)).await;
        let first = match left.take() {
            Some(item) => item,
            None => match items.next().await {
                Some(item) => item.map_err(client_errors::of_request)?,
                None => return Ok(()),
            },
        };
        let mut batch = Batch::default();
        let ended = gather(shared, stream, &mut items, first, &mut batch, &mut left);
        shared.publish_items(reply.clone(), stream, batch).await;
        if let Some(ended) = ended {
            return ended;
        }
    }
}

/// Gathers the items that are there already, so that they leave as one NATS message. Returns the end, if it is there, too.
/// An item that has no room is `left`.
fn gather(
    shared: &Shared,
    stream: &TakenStream,
    items: &mut Items,
    mut item: RawMessage<'static>,
    batch: &mut Batch,
    left: &mut Option<RawMessage<'static>>,
) -> Option<Ended> {
    let limit = shared.max_payload();
    loop {
        if let Err(error) = take(stream, item.as_str().len(), limit) {
            return Some(Err((ErrorFrom::Responder, error)));
        }
        batch.push(item.as_str());
        poll_fn(|cx| stream.of_client.poll_open(cx)).now_or_never()?;
        item = match items.next().now_or_never()? {
            None => return Some(Ok(())),
            Some(Err(error)) => return Some(Err(client_errors::of_request(error))),
            Some(Ok(item)) => item,
        };
        if !batch.has_room(item.as_str(), limit) {
            *left = Some(item);
            return None;
        }
    }
}

/// Takes an item off the window. `Err` says why it can't be sent.
fn take(stream: &TakenStream, len: usize, limit: usize) -> Result<(), ErrorReply> {
    if len > limit {
        return Err(too_long(len, limit));
    }
    stream.of_client.take(len).map_err(|TooLong { size, window }| {
        let text = format!(
            "an item takes {size} bytes, more than the window of {window}: raise the `window` of the request"
        );
        ErrorReply::new(ErrorReply::WINDOW, text)
    })
}
