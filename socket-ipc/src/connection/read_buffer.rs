//! The bytes that were received and not dispatched yet.

use std::cell::RefCell;
use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// The size of a read. Larger ones gain nothing.
pub(super) const CHUNK: usize = 64 * 1024;

/// How many chunks a thread keeps for its connections.
const SPARE_CHUNKS: usize = 4;

/// The largest buffer that a thread keeps beside the chunks. It keeps one at most: growing a buffer for every large
/// message costs more than decoding the message.
const SPARE_LARGE: usize = 2 * 1024 * 1024;

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { chunks: Vec::new(), large: Vec::new() }) };
}

/// Whether the process has received a message that no chunk holds.
static FIRST_LARGE: Once = Once::new();

/// Makes glibc keep more of the memory that is freed. By default it gives freed memory at the top of its heap, beyond
/// 128 KiB, back to the kernel. The next long text that a listener gets then takes new pages, which the kernel has to
/// clear; that costs as much as decoding the text. Freeing a block that has a mapping of its own raises the threshold
/// to twice the length of the block (`mallopt(3)`, `M_MMAP_THRESHOLD`). The block is never written to, so it takes no
/// pages. Other allocators are not affected.
fn keep_what_is_freed() {
    drop(black_box(Vec::<u8>::with_capacity(SPARE_LARGE)));
}

/// Buffers that no connection uses.
struct Spare {
    chunks: Vec<Vec<u8>>,
    large: Vec<u8>,
}

impl Spare {
    fn keep(&mut self, bytes: Vec<u8>) {
        if bytes.len() == CHUNK {
            if self.chunks.len() < SPARE_CHUNKS {
                self.chunks.push(bytes);
            }
        } else if bytes.len() > self.large.len() && bytes.len() <= SPARE_LARGE {
            self.large = bytes;
        }
    }
}

/// A read buffer, which has memory only while there is something in it: an idle connection has none.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    /// Initialised throughout, so that a read needs no unsafe code. It is zeroed once, not for every read.
    bytes: Vec<u8>,
    unread: Range<usize>,
    /// Up to this size the buffer doubles. Beyond that it grows by chunks.
    ample: usize,
}

impl ReadBuffer {
    /// Makes a buffer for messages of up to `message_len` bytes, delimiter included.
    pub(super) fn new(message_len: usize) -> Self {
        Self { bytes: Vec::new(), unread: 0..0, ample: message_len.saturating_add(CHUNK) }
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.unread.clone()]
    }

    /// Takes `count` bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.unread.start = (self.unread.start + count).min(self.unread.end);
        self.begin_anew_if_empty();
    }

    /// Resets the empty range, as the memory may be given back.
    fn begin_anew_if_empty(&mut self) {
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
    }

    /// Takes ranges, which are in order, out of the unread bytes. Each byte behind them is moved once.
    pub(super) fn remove(&mut self, ranges: &[Range<usize>]) {
        let Range { start, end } = self.unread;
        let Some(first) = ranges.first() else { return };
        let mut kept = start + first.start;
        for (number, range) in ranges.iter().enumerate() {
            let next = ranges.get(number + 1).map_or(end, |next| start + next.start);
            self.bytes.copy_within(start + range.end..next, kept);
            kept += next - (start + range.end);
        }
        self.unread.end = kept;
        self.begin_anew_if_empty();
    }

    /// Writes one byte over a part of the unread bytes.
    pub(super) fn fill(&mut self, range: Range<usize>, byte: u8) {
        if let Some(part) = self.bytes[self.unread.clone()].get_mut(range) {
            part.fill(byte);
        }
    }

    /// The size of its memory.
    pub(super) fn allocated(&self) -> usize {
        self.bytes.len()
    }

    /// How much can be read without growing.
    pub(super) fn free(&self) -> usize {
        match self.bytes.len() {
            0 => CHUNK,
            len if self.is_worth_moving() => len - self.unread.len(),
            len => len - self.unread.end,
        }
    }

    /// By how much it is best to grow before the next read; 0 where there is enough room.
    pub(super) fn growth(&self) -> usize {
        if self.free() >= CHUNK / 4 {
            return 0;
        }
        let len = self.bytes.len();
        let spare = SPARE.with_borrow(|spare| spare.large.len());
        let next = if spare > len { spare } else { (2 * len).min(self.ample.max(len + CHUNK)) };
        next - len
    }

    /// Reads what has arrived, a chunk at most, after growing by `growth`; 0 is the end of the stream. While nothing is
    /// unread and nothing arrives, the memory is given back.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        growth: usize,
    ) -> Poll<io::Result<usize>> {
        self.make_room(growth);
        let mut free = ReadBuf::new(&mut self.bytes[self.unread.end..]);
        let result = Pin::new(stream).poll_read(cx, &mut free);
        let received = free.filled().len();
        if result.is_pending() {
            self.give_back();
        }
        ready!(result)?;
        self.unread.end += received;
        Poll::Ready(Ok(received))
    }

    fn make_room(&mut self, growth: usize) {
        if self.bytes.is_empty() {
            self.bytes = chunk();
        }
        if self.bytes.len() - self.unread.end < CHUNK / 4 && self.is_worth_moving() {
            self.bytes.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if growth > 0 {
            self.grow(growth);
        }
    }

    /// Moving at most twice as many bytes as were consumed keeps the cost of a byte constant.
    fn is_worth_moving(&self) -> bool {
        self.unread.start >= self.unread.len() / 2
    }

    fn grow(&mut self, growth: usize) {
        FIRST_LARGE.call_once(keep_what_is_freed);
        let len = self.bytes.len() + growth;
        let mut large = SPARE.with_borrow_mut(|spare| std::mem::take(&mut spare.large));
        if large.len() == len {
            self.move_to(&mut large);
        } else {
            self.bytes.resize(len, 0);
        }
        SPARE.with_borrow_mut(|spare| spare.keep(large));
    }

    /// Gives back the memory that the unread bytes don't need: all of it, or the part beyond a chunk.
    fn give_back(&mut self) {
        let mut bytes = Vec::new();
        if self.unread.is_empty() {
            std::mem::swap(&mut bytes, &mut self.bytes);
        } else if self.bytes.len() > CHUNK && self.unread.len() <= CHUNK / 2 {
            bytes = chunk();
            self.move_to(&mut bytes);
        }
        SPARE.with_borrow_mut(|spare| spare.keep(bytes));
    }

    /// Moves the unread bytes to another buffer, and leaves its own there.
    fn move_to(&mut self, bytes: &mut Vec<u8>) {
        bytes[..self.unread.len()].copy_from_slice(&self.bytes[self.unread.clone()]);
        self.unread = 0..self.unread.len();
        std::mem::swap(bytes, &mut self.bytes);
    }
}

fn chunk() -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| spare.chunks.pop()).unwrap_or_else(|| vec![0; CHUNK])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled_with(bytes: &[u8]) -> ReadBuffer {
        let mut buffer = ReadBuffer::new(300_000);
        let mut rest = bytes;
        while !rest.is_empty() {
            let growth = buffer.growth();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let filled = buffer.poll_fill(&mut rest, &mut cx, growth);
            assert!(matches!(filled, Poll::Ready(Ok(count)) if count > 0));
        }
        buffer
    }

    #[test]
    fn read_buffer_remove_from_middle_keeps_rest() {
        let mut buffer = filled_with(b"0123456789");
        buffer.consume(2);
        let middle = 3..6;
        buffer.remove(&[middle]);
        assert_eq!(buffer.unread(), b"23489");
        buffer.consume(5);
        assert_eq!(buffer.unread(), b"");
    }

    #[test]
    fn read_buffer_remove_several_ranges_keeps_rest() {
        let mut buffer = filled_with(b"0123456789");
        buffer.consume(1);
        buffer.remove(&[0..1, 3..5, 8..9]);
        assert_eq!(buffer.unread(), b"23678");
        // After removing everything, the memory may go, and the range must not point into it.
        let all = 0..buffer.unread().len();
        buffer.remove(&[all]);
        buffer.give_back();
        assert_eq!(buffer.unread(), b"");
    }

    #[test]
    fn read_buffer_growth_and_compaction_keep_bytes() {
        let bytes: Vec<u8> = (0..400_000u32).map(|i| (i % 251) as u8).collect();
        let mut buffer = filled_with(&bytes);
        assert_eq!(buffer.unread(), bytes);
        buffer.consume(399_000);
        let mut more: &[u8] = b"more";
        let growth = buffer.growth();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(buffer.poll_fill(&mut more, &mut cx, growth).is_ready());
        assert_eq!(buffer.unread(), [&bytes[399_000..], b"more"].concat());
    }
}
