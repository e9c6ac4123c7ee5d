//! Finds messages in a stream of bytes, whatever pieces it arrives in.

use super::Wire;
use super::encode::find;

/// What is at the front of the bytes received so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message of `len` bytes, which with its delimiter takes `taken`.
    Message { len: usize, taken: usize },
    /// A message over the limit, of `len` bytes in all. Its first `kept` bytes are still there; `taken` is the number
    /// of bytes from the front to the end of its delimiter.
    TooLong { len: u64, kept: usize, taken: usize },
    /// No delimiter yet.
    Incomplete,
}

/// How many bytes at the end of a message over the limit are kept: they hold its id (`,"id":` and a string of 64 bytes
/// at most), so that the waiting requester gets an error.
pub(super) const TAIL: usize = 80;

/// Finds delimiters. Searched bytes are not searched again, and only the beginning of a message over the limit is kept.
#[derive(Clone, Debug)]
pub(crate) struct Framer {
    wire: Wire,
    /// The longest that a message may be, in bytes.
    limit: usize,
    /// How many bytes of a message over the limit are kept for its report.
    keep: usize,
    /// How many bytes at the front are known to hold no delimiter.
    searched: usize,
    /// How many bytes of the message at the front were dropped, because it is over the limit.
    dropped: u64,
    /// Whether the message at the front is over the limit.
    too_long: bool,
}

impl Framer {
    pub(crate) fn new(wire: Wire, limit: usize, keep: usize) -> Self {
        Self { wire, limit, keep, searched: 0, dropped: 0, too_long: false }
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    /// The most that a message may be, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Looks for a message at the front of `bytes`, which are received and not consumed yet. Before the next call, the
    /// `taken` bytes of a message must be removed.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Frame {
        let delimiter = self.wire.delimiter().as_bytes();
        let Some(at) = find(delimiter, &bytes[self.searched..]).map(|at| self.searched + at) else {
            // A delimiter may begin in the last bytes.
            self.searched = (bytes.len() + 1).saturating_sub(delimiter.len()).max(self.searched);
            return Frame::Incomplete;
        };
        let taken = at + delimiter.len();
        let len = self.dropped + at as u64;
        let too_long = self.too_long || at > self.limit;
        (self.searched, self.dropped, self.too_long) = (0, 0, false);
        if too_long {
            Frame::TooLong { len, kept: at.min(self.keep), taken }
        } else {
            Frame::Message { len: at, taken }
        }
    }

    /// Whether a message begins at the front, each message is a line, and those of `len` bytes are within the limit.
    #[inline]
    pub(crate) fn has_lines(&self, len: usize) -> bool {
        self.dropped == 0 && !self.too_long && len <= self.limit && self.wire.delimiter() == "\n"
    }

    /// Notes that a whole message was taken out of the bytes: they are searched again from the front.
    pub(crate) fn restart(&mut self) {
        self.searched = 0;
    }

    /// The bytes that may be dropped of an incomplete message over the limit, which is at the front of `bytes`: all but
    /// the first, which its report keeps, and the last [`TAIL`]. The range must be removed before the next call.
    pub(crate) fn excess(&mut self, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
        if self.searched > self.limit {
            self.too_long = true;
        }
        let end = self.searched.saturating_sub(TAIL);
        if !self.too_long || end <= self.keep {
            return None;
        }
        debug_assert!(self.searched <= bytes.len());
        let excess = self.keep..end;
        self.dropped += excess.len() as u64;
        self.searched -= excess.len();
        Some(excess)
    }

    /// How many bytes of the message at the front of `bytes` have arrived, dropped ones included.
    pub(crate) fn unfinished(&self, bytes: &[u8]) -> u64 {
        self.dropped + bytes.len() as u64
    }
}
