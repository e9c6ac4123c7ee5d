//! The bytes of broadcasts, which outboxes share.
//!
//! A long broadcast is shared by itself. Short ones are appended to a chunk, and each outbox only notes a range of it.
//! A copy in each outbox would go to memory that is in no cache, and the broadcasting sender would wait for that memory
//! with each lock it releases. A session that has much to write writes it from the chunk, and copies less.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::budget::OutboxBudget;
use crate::sync::lock;

/// From this length on, a broadcast is shared by itself. A shorter one is cheaper to copy into one write with others
/// than to write apart.
pub(super) const SHARE_FROM: usize = 16 * 1024;

/// The greatest length of a chunk. An outbox that holds a part of a chunk keeps all of it in memory, so the total
/// counts all of it.
const CHUNK: usize = 64 * 1024;

/// How many bytes a chunk of this length counts for. A short chunk counts for none: it is mostly written at once, and
/// counting costs more.
fn counted(chunk: usize) -> usize {
    if chunk < SHARE_FROM { 0 } else { chunk }
}

/// How many bytes of a broadcast may be queued before they are counted.
const UNCOUNTED: usize = 64 * 1024;

/// All short broadcasts of a server, one after the other. Only the last ones are still in memory.
#[derive(Debug, Default)]
pub(crate) struct BroadcastLog(Mutex<Log>);

impl BroadcastLog {
    /// Begins a broadcast to about `clients` clients.
    pub(crate) fn broadcast<'b>(
        &self,
        bytes: &'b [u8],
        total: &'b Arc<OutboxBudget>,
        clients: usize,
    ) -> Broadcast<'b> {
        let body = if bytes.len() >= SHARE_FROM {
            Body::Long(Shared::new(bytes.to_vec(), Arc::clone(total)))
        } else {
            Body::Short((clients > 1).then(|| lock(&self.0).append(bytes, total)))
        };
        Broadcast { bytes, body, total, uncounted: Cell::new(0) }
    }

    #[cfg(test)]
    pub(super) fn keeps_a_chunk(&self) -> bool {
        lock(&self.0).open.strong_count() > 0
    }
}

#[derive(Debug, Default)]
struct Log {
    /// The length of all broadcasts so far.
    end: u64,
    /// The chunk that the next one is appended to, as long as an outbox holds a part of it.
    open: Weak<Chunk>,
}

impl Log {
    /// Appends a broadcast, and returns its place.
    fn append(&mut self, bytes: &[u8], total: &Arc<OutboxBudget>) -> Span {
        let start = self.end;
        self.end += bytes.len() as u64;
        let chunk = self.open.upgrade().filter(|chunk| chunk.append(bytes)).unwrap_or_else(|| {
            let chunk = Chunk::new(start, bytes, total);
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
    /// The bytes, until the chunk is sealed.
    open: Mutex<Option<Vec<u8>>>,
    sealed: OnceLock<Vec<u8>>,
    total: Arc<OutboxBudget>,
}

impl Chunk {
    fn new(start: u64, message: &[u8], total: &Arc<OutboxBudget>) -> Arc<Self> {
        let open = Mutex::new(Some(message.to_vec()));
        Arc::new(Self { start, open, sealed: OnceLock::new(), total: Arc::clone(total) })
    }

    /// Appends a broadcast, unless the chunk is full, sealed, or being copied from: the sender does not wait.
    fn append(&self, message: &[u8]) -> bool {
        let Ok(mut open) = self.open.try_lock() else { return false };
        match &mut *open {
            Some(bytes) if bytes.len() + message.len() <= CHUNK => {
                let before = bytes.capacity();
                bytes.extend_from_slice(message);
                if bytes.capacity() != before {
                    self.total.chunk_grows(counted(bytes.capacity()) - counted(before));
                }
                true
            }
            _ => false,
        }
    }

    /// Its bytes, to be written without a lock. From now on nothing is appended.
    fn seal(&self) -> &[u8] {
        self.sealed.get_or_init(|| lock(&self.open).take().unwrap_or_default())
    }

    /// How much memory it takes.
    fn capacity(&self) -> usize {
        match self.sealed.get() {
            Some(bytes) => bytes.capacity(),
            None => lock(&self.open).as_ref().map_or(0, Vec::capacity),
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let counted = counted(self.capacity());
        if counted > 0 {
            self.total.chunk_goes(counted);
        }
    }
}

/// Broadcasts that follow each other in a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    chunk: Arc<Chunk>,
    /// Their place in the log.
    range: Range<u64>,
    messages: u64,
}

impl Span {
    /// Whether no broadcast is between the two.
    pub(super) fn is_followed_by(&self, next: &Self) -> bool {
        self.range.end == next.range.start
    }

    /// Adds the span that follows, if it is of the same chunk, and says whether it is.
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

    /// Its place in its chunk.
    fn place(&self) -> Range<usize> {
        let start = (self.range.start - self.chunk.start) as usize;
        start..start + self.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.chunk.seal()[self.place()]
    }

    /// Whether it keeps a whole chunk in memory for a small part.
    pub(super) fn wastes_a_chunk(&self) -> bool {
        self.len() < self.chunk.capacity() / 2
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
    total: Arc<OutboxBudget>,
}

impl Shared {
    fn new(bytes: Vec<u8>, total: Arc<OutboxBudget>) -> Arc<Self> {
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

/// How many bytes a broadcast of this length to this many clients counts for.
pub(crate) fn counted_for(len: usize, clients: usize) -> usize {
    if len < SHARE_FROM { len.saturating_mul(clients) } else { len }
}

/// An encoded broadcast on its way into the outboxes.
pub(crate) struct Broadcast<'b> {
    bytes: &'b [u8],
    body: Body,
    total: &'b Arc<OutboxBudget>,
    /// How many bytes have been queued that `total` has not counted: counting for each outbox costs more than queueing.
    uncounted: Cell<usize>,
}

pub(super) enum Body {
    Long(Arc<Shared>),
    /// `None` where there is only one client.
    Short(Option<Span>),
}

impl<'b> Broadcast<'b> {
    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// Its bytes apart, to be shared by the outboxes in which it waits.
    pub(super) fn share(&self) -> Arc<Shared> {
        Shared::new(self.bytes.to_vec(), Arc::clone(self.total))
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
