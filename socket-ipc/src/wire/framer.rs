//! Where messages end in a stream of bytes, whatever pieces it arrives in.

use super::Wire;
use super::encode::find;

/// What stands at the front of the bytes received so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message of `len` bytes, which with its end takes `taken`.
    Message { len: usize, taken: usize },
    /// The last of a message of `len` bytes in all, over the limit: `kept` of them are still there (from the
    /// front), and with what follows them up to the end of the message they take `taken`.
    TooLong { len: u64, kept: usize, taken: usize },
    /// No message ends here yet.
    Incomplete,
}

/// How many bytes at the end of a message over the limit are kept: what kind it is of stands there (`,"id":` and a string
/// of 64 bytes at most), for the requester that waits.
pub(super) const TAIL: usize = 80;

/// Finds the ends of messages. Bytes that were searched are not searched again, and of a message that is over
/// the limit only the beginning is kept.
#[derive(Clone, Debug)]
pub(crate) struct Framer {
    wire: Wire,
    /// The most that a message may be, in bytes.
    limit: usize,
    /// How many bytes of a message over the limit are kept for its report.
    keep: usize,
    /// How many bytes at the front are known to hold no end of a message.
    searched: usize,
    /// Bytes of the message at the front that were given up, being over the limit.
    dropped: u64,
    /// Whether the message at the front is over the limit.
    too_long: bool,
}

impl Framer {
    pub(crate) fn new(wire: Wire, limit: usize, keep: usize) -> Self {
        Self { wire, limit, keep, searched: 0, dropped: 0, too_long: false }
    }

    /// Looks at the front of `bytes`: what is received and not taken yet. What a message takes must be gone
    /// at the next call.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Frame {
        let end = self.wire.delimiter().as_bytes();
        let Some(at) = find(end, &bytes[self.searched..]).map(|at| self.searched + at) else {
            // An end may have begun in the last bytes.
            self.searched = (bytes.len() + 1).saturating_sub(end.len()).max(self.searched);
            return Frame::Incomplete;
        };
        let taken = at + end.len();
        let len = self.dropped + at as u64;
        let too_long = self.too_long || at > self.limit;
        (self.searched, self.dropped, self.too_long) = (0, 0, false);
        if too_long {
            Frame::TooLong { len, kept: at.min(self.keep), taken }
        } else {
            Frame::Message { len: at, taken }
        }
    }

    /// Notes that a whole message was taken out of the bytes: what was searched is searched again.
    pub(crate) fn restart(&mut self) {
        self.searched = 0;
    }

    /// How many bytes of an incomplete message at the front of `bytes` may be given up: the range after what
    /// is kept for its report, up to its last few bytes. What is named must be gone at the next call.
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

    /// How many bytes of the message at the front of `bytes` have arrived, the ones given up included.
    pub(crate) fn unfinished(&self, bytes: &[u8]) -> u64 {
        self.dropped + bytes.len() as u64
    }
}
