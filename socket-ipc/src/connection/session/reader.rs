//! The receiving half of a session: bytes from the stream, and the messages in them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::connection::Limits;
use crate::connection::read_buffer::ReadBuffer;
use crate::connection::reply_scanner::ReplyScanner;
use crate::events::CloseCause;
use crate::limits::RAW_LEN;
use crate::wire::{Frame, Framer};

/// How many bytes are looked at for lines. More would gain little, and be in vain where they are not dispatched.
const LINES: usize = 1024;

/// The bytes that were received and not dispatched yet.
pub(super) struct Reader {
    received: ReadBuffer,
    framer: Framer,
    /// The peer sends no more, or nothing more can be read.
    ended: Option<CloseCause>,
    /// When the message at the front has to be complete.
    complete_until: Option<Instant>,
    /// Made when first needed.
    scanner: Option<Box<ReplyScanner>>,
    /// Bytes were consumed since the last call of `has_dispatched`.
    has_dispatched: bool,
    /// How many bytes have been taken off the front since the connection began.
    consumed: u64,
}

impl Reader {
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { wire, max_message_len, raw_len, .. } = *limits;
        // A message over the limit is not stored whole, even if a report may hold more of it.
        let keep = raw_len.min(max_message_len.max(RAW_LEN));
        Self {
            received: ReadBuffer::new(max_message_len.saturating_add(wire.delimiter().len())),
            framer: Framer::new(wire, max_message_len, keep),
            ended: None,
            complete_until: None,
            scanner: None,
            has_dispatched: false,
            consumed: 0,
        }
    }

    /// Reads what has arrived, a chunk at most, into a buffer that grows by `growth` bytes; 0 is the end of the stream.
    /// `Pending` while nothing has arrived.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        growth: usize,
    ) -> Poll<io::Result<usize>> {
        // Without tokio's budget, as the session has its own turn: `Pending` has to mean that nothing has arrived.
        Pin::new(&mut unconstrained(poll_fn(|cx| self.received.poll_fill(stream, cx, growth)))).poll(cx)
    }

    /// By how much the buffer should grow before the next read.
    pub(super) fn growth(&self) -> usize {
        self.received.growth()
    }

    /// How much can be read without growing.
    pub(super) fn free(&self) -> usize {
        self.received.free()
    }

    /// How much memory the buffer takes.
    pub(super) fn allocated(&self) -> usize {
        self.received.allocated()
    }

    /// Whether bytes were consumed since the last call.
    pub(super) fn has_dispatched(&mut self) -> bool {
        std::mem::take(&mut self.has_dispatched)
    }

    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.received.unread()
    }

    /// Looks for the message at the front.
    #[inline]
    pub(super) fn next_frame(&mut self) -> Frame {
        let frame = self.framer.next(self.received.unread());
        if !matches!(frame, Frame::Incomplete) {
            self.complete_until = None;
        }
        frame
    }

    /// The whole messages at the front, if they are lines and the first one begins with `front`: those that end within
    /// [`LINES`] bytes. They are checked together to be UTF-8, which takes a third of the instructions of checking each.
    #[inline]
    pub(super) fn lines(&self, front: &str) -> Option<&str> {
        let unread = self.received.unread();
        if !unread.starts_with(front.as_bytes()) || !self.framer.has_lines(LINES) {
            return None;
        }
        let unread = &unread[..unread.len().min(LINES)];
        let last = memchr::memrchr(b'\n', unread)?;
        std::str::from_utf8(&unread[..=last]).ok()
    }

    /// Takes whole messages off the front, `count` bytes of them.
    #[inline]
    pub(super) fn consume_lines(&mut self, count: usize) {
        self.framer.restart();
        self.complete_until = None;
        self.consume(count);
    }

    /// Takes `count` bytes off the front.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        self.received.consume(count);
        self.has_dispatched = true;
        self.consumed += count as u64;
        if let Some(scanner) = &mut self.scanner {
            scanner.taken(count);
        }
    }

    /// Drops the bytes of an unfinished message that are over the limit.
    pub(super) fn remove_excess(&mut self) {
        if let Some(excess) = self.framer.excess(self.received.unread()) {
            self.received.remove(&[excess]);
            if let Some(scanner) = &mut self.scanner {
                scanner.disturbed();
            }
        }
    }

    /// Drops whole messages that will not be dispatched, and keeps the unfinished one.
    pub(super) fn discard(&mut self) {
        while let Frame::Message { taken, .. } | Frame::TooLong { taken, .. } = self.next_frame() {
            self.consume(taken);
        }
        self.remove_excess();
    }

    /// How many bytes have been taken off the front since the connection began.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Overwrites a scanned message with blanks. `at` is where it begins, counted as `consumed` is.
    pub(super) fn blank(&mut self, at: u64, len: usize) {
        if let Some(at) = at.checked_sub(self.consumed).and_then(|at| usize::try_from(at).ok()) {
            self.received.fill(at..at.saturating_add(len), b' ');
        }
    }

    /// Takes out the whole messages behind the first `skip` bytes for which `take` returns `true`. `take` gets each
    /// message once, with the place where it begins, counted as `consumed` is.
    pub(super) fn extract(&mut self, skip: usize, mut take: impl FnMut(&[u8], u64) -> bool) {
        let (wire, limit) = (self.framer.wire(), self.framer.limit());
        let scanner = self.scanner.get_or_insert_with(|| Box::new(ReplyScanner::new(wire, limit)));
        let (mut taken, mut taken_len) = (Vec::new(), 0);
        while let Some(place) = scanner.next(self.received.unread(), skip, &self.framer) {
            let at = self.consumed + (place.start - taken_len) as u64;
            if take(&self.received.unread()[place.start..place.end - wire.delimiter().len()], at) {
                taken_len += place.len();
                taken.push(place);
            }
        }
        if taken.is_empty() {
            return;
        }
        self.received.remove(&taken);
        scanner.removed(taken_len);
        if skip == 0 {
            self.framer.restart();
        }
    }

    /// Notes that nothing more can be read.
    pub(super) fn end(&mut self, cause: CloseCause) {
        self.ended = Some(cause);
    }

    /// Why nothing more can be read, if so.
    pub(super) fn ended(&self) -> Option<&CloseCause> {
        self.ended.as_ref()
    }

    /// Sets the deadline of an unfinished message, unless it is set.
    pub(super) fn expect_rest(&mut self, timeout: Duration) {
        if self.complete_until.is_none() && !self.unread().is_empty() {
            self.complete_until = Instant::now().checked_add(timeout);
        }
    }

    /// Gives an unfinished message its whole time again: the peer can't send the rest while nothing is read.
    pub(super) fn excuse_rest(&mut self) {
        self.complete_until = None;
    }

    pub(super) fn complete_until(&self) -> Option<Instant> {
        self.complete_until
    }

    /// How many bytes of the message at the front have arrived, dropped ones included.
    pub(super) fn unfinished(&self) -> u64 {
        self.framer.unfinished(self.received.unread())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::connection::read_buffer::CHUNK;
    use crate::wire::Wire;

    fn reader(wire: Wire) -> Reader {
        Reader::new(&Limits { wire, max_message_len: 10, ..Limits::default() })
    }

    fn receive(reader: &mut Reader, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let read = reader.poll_fill(&mut bytes, &mut Context::from_waker(Waker::noop()), 64);
            assert!(matches!(read, Poll::Ready(Ok(1..))), "{read:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reader_unfinished_message_keeps_its_deadline_until_complete_or_excused() {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let mut reader = reader(Wire::JSON_LINES);
        reader.expect_rest(TIMEOUT);
        assert_eq!(reader.complete_until(), None, "nothing has arrived");
        receive(&mut reader, b"a");
        reader.expect_rest(TIMEOUT);
        let first = Instant::now() + TIMEOUT;
        assert_eq!(reader.complete_until(), Some(first));
        tokio::time::advance(Duration::from_secs(1)).await;
        receive(&mut reader, b"b");
        assert_eq!(reader.next_frame(), Frame::Incomplete);
        reader.expect_rest(TIMEOUT);
        assert_eq!(reader.complete_until(), Some(first));
        reader.excuse_rest();
        assert_eq!(reader.complete_until(), None);
        reader.expect_rest(TIMEOUT);
        assert_eq!(reader.complete_until(), Some(Instant::now() + TIMEOUT));
        receive(&mut reader, b"\n");
        assert_eq!(reader.next_frame(), Frame::Message { len: 2, taken: 3 });
        assert_eq!(reader.complete_until(), None);
    }

    #[test]
    fn reader_counts_bytes_that_are_taken_unfinished_and_allocated() {
        let mut reader = reader(Wire::JSON_LINES);
        assert_eq!((reader.consumed(), reader.has_dispatched(), reader.allocated()), (0, false, 0));
        assert_eq!((reader.growth(), reader.free()), (0, CHUNK), "the first chunk is no growth");
        receive(&mut reader, b"one\ntwo\nthr");
        // `receive` grows the buffer by 64 bytes.
        assert_eq!((reader.allocated(), reader.free()), (CHUNK + 64, CHUNK + 64 - 11));
        reader.consume(4);
        reader.consume(4);
        assert_eq!(reader.consumed(), 8);
        assert!(reader.has_dispatched() && !reader.has_dispatched());
        assert_eq!((reader.next_frame(), reader.unfinished()), (Frame::Incomplete, 3));
        reader.blank(9, 2);
        assert_eq!(reader.unread(), b"t  ");
        receive(&mut reader, &[b'x'; CHUNK - 8_000]);
        assert_eq!(reader.growth(), CHUNK);
    }

    #[test]
    fn reader_extract_on_its_wire_takes_messages_within_its_limit() {
        let mut reader = reader(Wire::NODE_0_2);
        receive(&mut reader, b"held%EOM%one%EOM%longer than ten%EOM%ten\nbytes!%EOM%th");
        let mut seen = Vec::new();
        reader.extract(9, |message, at| {
            seen.push((String::from_utf8_lossy(message).into_owned(), at));
            message == b"one"
        });
        // What was taken out before a message counts as never sent.
        assert_eq!(seen, [("one".to_owned(), 9), ("ten\nbytes!".to_owned(), 29)]);
        assert_eq!(reader.unread(), b"held%EOM%longer than ten%EOM%ten\nbytes!%EOM%th");
        receive(&mut reader, b"ree%EOM%fourthpar");
        let mut seen = Vec::new();
        reader.extract(9, |message, at| {
            seen.push((String::from_utf8_lossy(message).into_owned(), at));
            false
        });
        assert_eq!(seen, [("three".to_owned(), 44)]);
        // The message whose beginning was scanned is dispatched whole.
        reader.discard();
        receive(&mut reader, b"t%EOM%x%EOM%");
        assert_eq!(reader.next_frame(), Frame::Message { len: 10, taken: 15 });
        reader.consume(15);
        reader.extract(0, |message, _| message == b"x");
        assert_eq!(reader.unread(), b"");
    }

    #[test]
    fn reader_extract_after_excess_skips_the_rest_of_the_long_message() {
        let limits = Limits { max_message_len: 100, raw_len: 0, ..Limits::default() };
        let mut reader = Reader::new(&limits);
        receive(&mut reader, &[b'x'; 5_000]);
        assert_eq!(reader.next_frame(), Frame::Incomplete);
        reader.extract(0, |_, _| panic!("no message has arrived"));
        reader.remove_excess();
        assert!(reader.unread().len() <= 100);
        receive(&mut reader, b"x\nnext\n");
        let mut seen = Vec::new();
        reader.extract(0, |message, _| {
            seen.push(String::from_utf8_lossy(message).into_owned());
            false
        });
        assert_eq!(seen, ["next"]);
    }

    #[test]
    fn reader_extract_of_searched_front_finds_the_next_message_whole() {
        let mut reader = reader(Wire::JSON_LINES);
        receive(&mut reader, b"a reply");
        assert_eq!(reader.next_frame(), Frame::Incomplete);
        receive(&mut reader, b"\nno");
        reader.extract(0, |message, _| message == b"a reply");
        assert_eq!(reader.unread(), b"no");
        receive(&mut reader, b"\nte\n");
        assert_eq!(reader.next_frame(), Frame::Message { len: 2, taken: 3 });
    }
}
