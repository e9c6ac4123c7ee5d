//! Items of a stream on their way into few NATS messages, one a line.

use async_nats::Subject;

use super::headers::{self, ErrorFrom};
use super::shared::Shared;
use super::taken::ReplyAt;
use super::taken_stream::TakenStream;
use crate::error::error_reply::ErrorReply;

/// The longest batch, in bytes, unless a single item is longer.
const BATCH_LEN: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Batch {
    lines: Vec<u8>,
    count: u64,
}

impl Batch {
    /// Whether an item can be added, where NATS takes no more than `limit`.
    pub(super) fn has_room(&self, item: &str, limit: usize) -> bool {
        self.count == 0 || self.lines.len() + 1 + item.len() <= BATCH_LEN.min(limit)
    }

    pub(super) fn push(&mut self, item: &str) {
        if self.count > 0 {
            self.lines.push(b'\n');
        }
        let begin = self.lines.len();
        self.lines.extend_from_slice(item.as_bytes());
        // Between the tokens of JSON text a line break is white space, and inside a string there is none.
        for byte in &mut self.lines[begin..] {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        self.count += 1;
    }
}

impl Shared {
    pub(super) async fn publish_items(&self, reply: Subject, stream: &TakenStream, batch: Batch) {
        let Some(first) = stream.next().filter(|_| batch.count > 0) else { return };
        self.publish(reply, Some(headers::items(first)), batch.lines).await;
        stream.published(batch.count);
    }

    /// Publishes that a stream has ended, behind the item before `next`.
    pub(super) async fn publish_end(&self, reply: Subject, next: u64) {
        self.publish(reply, Some(headers::end(next)), b"null".to_vec()).await;
    }

    /// Publishes the error reply to a request, or the error that a stream ends with.
    pub(super) async fn end_with(&self, reply: ReplyAt, error: &ErrorReply) {
        self.end_with_from(ErrorFrom::Responder, reply, error).await;
    }

    pub(super) async fn end_with_from(&self, from: ErrorFrom, reply: ReplyAt, error: &ErrorReply) {
        let next = reply.stream.and_then(|stream| stream.next());
        self.publish_error(headers::error(from, next), reply.subject, error).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_lines_without_line_breaks_inside() {
        let mut batch = Batch::default();
        for item in ["1", "{\n\"a\":\n2}", r#""\n""#] {
            assert!(batch.has_room(item, 100));
            batch.push(item);
        }
        assert_eq!((&batch.lines[..], batch.count), (&b"1\n{ \"a\": 2}\n\"\\n\""[..], 3));
        assert!(!batch.has_room("1", batch.lines.len() + 1) && batch.has_room("1", batch.lines.len() + 2));
        assert!(Batch::default().has_room("a long one", 1));
    }
}
