//! A stream that this node has requested of another one: its items as JSON text, and its window.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::arriving_stream::StreamEnd;
use super::headers;
use super::pending::{NoReply, PendingStream};
use super::requests::Sent;
use super::shared::Shared;
use crate::connection::{Arrival, End, Lines};
use crate::router::cost;

/// Dropping it cancels the request.
pub(super) struct RemoteStream {
    request: PendingStream,
    /// Items that were taken out of the queue.
    lines: Lines,
    window: u64,
    /// How many bytes of items may be sent in all.
    limit: u64,
    /// The bytes that were read since that was said.
    unrenewed: u64,
    shared: Arc<Shared>,
}

impl RemoteStream {
    /// Sends the request of a stream of a client of this node, or of this server itself (0). `Err` says that it was not
    /// sent.
    pub(super) async fn open(
        shared: Arc<Shared>,
        subject: String,
        client: u64,
        payload: Vec<u8>,
        window: u64,
    ) -> Result<Self, Sent> {
        shared.may_send(payload.len())?;
        let request = shared.pending.begin_stream(window).map_err(|limit| Sent::TooMany { limit })?;
        let reply = shared.subjects.reply(client, request.number);
        let headers = headers::stream(window);
        let headers = headers::with_trace(Some(headers)).unwrap_or_default();
        let publish = shared.nats.publish_with_reply_and_headers(subject, reply, headers, payload.into());
        shared.published(publish).await?;
        Ok(Self { request, lines: Lines::default(), window, limit: window, unrenewed: 0, shared })
    }

    /// Whether the responder has begun.
    pub(super) fn has_started(&self) -> bool {
        self.request.items.has_started()
    }

    /// Waits until the responder has begun. `Err` is the end, if that comes before.
    pub(super) fn poll_started(&self, cx: &Context<'_>) -> Poll<Result<(), Option<Sent>>> {
        let end = ready!(self.request.items.poll_started(cx));
        Poll::Ready(end.map_or(Ok(()), |end| Err(self.sent(end))))
    }

    /// Waits for the JSON text of an item. `Err` is the end; `None` where the stream has ended as it should.
    pub(super) fn poll_item(&mut self, cx: &Context<'_>) -> Poll<Result<&[u8], Option<Sent>>> {
        if self.lines.is_empty() {
            self.lines = Lines::default();
            match ready!(self.request.items.poll_read(cx)) {
                Arrival::Lines(lines) => self.lines = lines,
                Arrival::End { end, .. } => return Poll::Ready(Err(self.sent(end))),
            }
        }
        let Self { request, lines, window, limit, unrenewed, .. } = self;
        let Some(item) = lines.next() else { return Poll::Ready(Err(None)) };
        *unrenewed = unrenewed.saturating_add(cost(item.len()));
        // With less than half of the window read, the window is still open.
        if *unrenewed >= window.div_ceil(2) {
            let bytes = std::mem::take(unrenewed);
            *limit = limit.saturating_add(bytes);
            if request.items.open(bytes) {
                request.grant(*limit);
            }
        }
        Poll::Ready(Ok(item))
    }

    fn sent(&self, end: End<StreamEnd>) -> Option<Sent> {
        Some(match end {
            End::BeyondWindow { size, window } => Sent::BeyondWindow { size, window },
            // Nothing stores an end as a line.
            End::Line(_) | End::NoReply(StreamEnd::Done) => return None,
            End::NoReply(StreamEnd::Error(from, error)) => Sent::error(from, error),
            End::NoReply(StreamEnd::Nobody) => Sent::Nobody,
            End::NoReply(StreamEnd::NoReply(NoReply::LinkDown)) => Sent::LinkDown,
            End::NoReply(StreamEnd::NoReply(NoReply::Lost)) => Sent::Lost { silence: self.shared.silence },
            End::NoReply(StreamEnd::ItemsLost { count }) => Sent::ItemsLost { count },
            End::NoReply(StreamEnd::NotAStream) => Sent::NotAStream,
            End::NoReply(StreamEnd::Left) => Sent::Left,
        })
    }
}
