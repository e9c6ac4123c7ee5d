//! The bytes of broadcasts, which outboxes share.
//!
//! A long broadcast is shared by itself. Short ones are appended to a chunk, one after the other, and an outbox only
//! notes from where to where it has them: a copy in each outbox goes to memory that is in no cache, which whoever
//! broadcasts would have to wait for with every lock it releases. A session that has much to write writes
//! it from the chunk, and copies less.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::sync::lock;

/// From this length on, a broadcast is shared by itself; shorter ones are cheaper to copy into the buffer that
/// goes out in one write than to write apart.
pub(super) const SHARE_FROM: usize = 16 * 1024;

/// How long a chunk grows. An outbox that holds some of it keeps all of it in memory.
const CHUNK: usize = 64 * 1024;

/// How much of a broadcast is counted later than it is queued, at most.
const UNCOUNTED: usize = 64 * 1024;

/// What all outboxes of a server hold together, in bytes.
#[derive(Debug)]
pub(crate) struct Total {
    /// Below zero for a moment where a part of a broadcast is written before it is counted.
    queued: AtomicIsize,
    /// The most that there ever was.
    most: AtomicIsize,
    limit: usize,
    log: Mutex<Log>,
}

impl Total {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let [queued, most] = [const { AtomicIsize::new(0) }; 2];
        Arc::new(Self { queued, most, limit, log: Mutex::default() })
    }

    #[cfg(test)]
    pub(super) fn keeps_a_chunk(&self) -> bool {
        lock(&self.log).open.strong_count() > 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full_with(0)
    }

    /// Whether it is full together with what is not counted yet.
    fn is_full_with(&self, uncounted: usize) -> bool {
        self.queued().saturating_add(uncounted) >= self.limit
    }

    /// What is queued.
    pub(crate) fn queued(&self) -> usize {
        usize::try_from(self.queued.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// The most that ever was.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(self.most.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn add(&self, len: usize) {
        let len = len.cast_signed();
        let queued = self.queued.fetch_add(len, Ordering::Relaxed) + len;
        // Mostly there was more before, and nothing is written.
        if queued > self.most.load(Ordering::Relaxed) {
            self.most.fetch_max(queued, Ordering::Relaxed);
        }
    }

    pub(super) fn subtract(&self, len: usize) {
        self.queued.fetch_sub(len.cast_signed(), Ordering::Relaxed);
    }
}

/// All short broadcasts, one after the other, of which only those last queued are still in memory.
#[derive(Debug, Default)]
struct Log {
    /// The length of all of them.
    end: u64,
    /// What the next one is appended to, as long as an outbox holds something of it.
    open: Weak<Chunk>,
}

impl Log {
    /// Appends a broadcast, and says where it stands.
    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.end;
        self.end += bytes.len() as u64;
        let chunk = self.open.upgrade().filter(|chunk| chunk.append(bytes)).unwrap_or_else(|| {
            let chunk = Chunk::new(start, bytes);
            self.open = Arc::downgrade(&chunk);
            chunk
        });
        Span { chunk, range: start..self.end, messages: 1 }
    }
}

/// A piece of the log.
#[derive(Debug)]
struct Chunk {
    start: u64,
    /// Until it is sealed.
    open: Mutex<Option<Vec<u8>>>,
    sealed: OnceLock<Vec<u8>>,
}

impl Chunk {
    fn new(start: u64, message: &[u8]) -> Arc<Self> {
        Arc::new(Self { start, open: Mutex::new(Some(message.to_vec())), sealed: OnceLock::new() })
    }

    /// Appends a broadcast, unless the chunk is full or sealed, or is being copied from: who broadcasts does not wait.
    fn append(&self, message: &[u8]) -> bool {
        let Ok(mut open) = self.open.try_lock() else { return false };
        match &mut *open {
            Some(bytes) if bytes.len() + message.len() <= CHUNK => {
                bytes.extend_from_slice(message);
                true
            }
            _ => false,
        }
    }

    /// All of it, to be written without a lock; from now on nothing is appended.
    fn seal(&self) -> &[u8] {
        self.sealed.get_or_init(|| lock(&self.open).take().unwrap_or_default())
    }
}

/// Broadcasts that follow each other in a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    chunk: Arc<Chunk>,
    /// Where in the log they stand.
    range: Range<u64>,
    messages: u64,
}

impl Span {
    /// Whether no broadcast came between.
    pub(super) fn is_followed_by(&self, next: &Self) -> bool {
        self.range.end == next.range.start
    }

    /// Takes in the span that follows, if it is of the same chunk; says whether it is.
    pub(super) fn extend(&mut self, next: &Self) -> bool {
        let same = Arc::ptr_eq(&self.chunk, &next.chunk);
        if same {
            self.range.end = next.range.end;
            self.messages += next.messages;
        }
        same
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    pub(super) fn len(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    /// Where it stands in its chunk.
    fn place(&self) -> Range<usize> {
        let start = (self.range.start - self.chunk.start) as usize;
        start..start + self.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.chunk.seal()[self.place()]
    }

    pub(super) fn copy_to(&self, buffer: &mut Vec<u8>) {
        if let Some(bytes) = &*lock(&self.chunk.open) {
            return buffer.extend_from_slice(&bytes[self.place()]);
        }
        buffer.extend_from_slice(self.bytes());
    }
}

/// A long broadcast, its bytes counted once however many outboxes hold it.
#[derive(Debug)]
pub(crate) struct Shared {
    bytes: Vec<u8>,
    total: Arc<Total>,
}

impl Shared {
    fn new(bytes: Vec<u8>, total: Arc<Total>) -> Arc<Self> {
        total.add(bytes.len());
        Arc::new(Self { bytes, total })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.total.subtract(self.bytes.len());
    }
}

/// An encoded broadcast on its way into the outboxes.
pub(crate) struct Broadcast<'b> {
    bytes: &'b [u8],
    body: Body,
    total: &'b Arc<Total>,
    /// How much has been queued that `total` does not know of: to count it one outbox at a time costs more than to
    /// queue it.
    uncounted: Cell<usize>,
}

pub(super) enum Body {
    Long(Arc<Shared>),
    /// Not in the log where there is nobody to share it.
    Short(Option<Span>),
}

impl<'b> Broadcast<'b> {
    /// `clients` is how many it is for, or nearly so.
    pub(crate) fn new(bytes: &'b [u8], total: &'b Arc<Total>, clients: usize) -> Self {
        let body = if bytes.len() >= SHARE_FROM {
            Body::Long(Shared::new(bytes.to_vec(), Arc::clone(total)))
        } else {
            Body::Short((clients > 1).then(|| lock(&total.log).append(bytes)))
        };
        Self { bytes, body, total, uncounted: Cell::new(0) }
    }

    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// Whether all outboxes together are full with what this broadcast has been queued in so far.
    pub(super) fn fills_total(&self) -> bool {
        self.total.is_full_with(self.uncounted.get())
    }

    /// Counts it for one more outbox.
    pub(super) fn count(&self) {
        self.uncounted.set(self.uncounted.get() + self.bytes.len());
        if self.uncounted.get() >= UNCOUNTED {
            self.total.add(self.uncounted.take());
        }
    }
}

impl Drop for Broadcast<'_> {
    fn drop(&mut self) {
        self.total.add(self.uncounted.get());
    }
}
