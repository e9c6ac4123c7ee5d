//! Buffers that have been written, for the next connection that has something to write.
//!
//! An idle connection keeps none. Were they freed instead, the allocator would give their pages back to the kernel,
//! which clears them again for the next messages: with many clients that costs more than filling them.

use std::sync::Mutex;

use crate::limits::OUTBOX_MARK;

/// Larger buffers are freed. What paced senders queue for one connection, and a last message beyond it, fit.
const SPARE_CAPACITY: usize = 2 * OUTBOX_MARK;

/// How many are kept, 8 MiB at most.
const SPARES: usize = 64;

/// Those of the process.
pub(super) static SPARES_OF_PROCESS: Spares = Spares::new();

/// Some empty buffers. Nobody waits for another: who would have to makes a new buffer, or frees it.
#[derive(Debug)]
pub(super) struct Spares(Mutex<Vec<Vec<u8>>>);

impl Spares {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// An empty buffer; of those that are kept the last, which may still be in the processor's cache.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.try_lock().ok().and_then(|mut kept| kept.pop()).unwrap_or_default()
    }

    /// Keeps a buffer, emptied, unless it is large or there are enough.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > SPARE_CAPACITY {
            return;
        }
        buffer.clear();
        if let Ok(mut kept) = self.0.try_lock()
            && kept.len() < SPARES
        {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SPARE_CAPACITY, SPARES, Spares};

    #[test]
    fn a_buffer_comes_back_empty() {
        let spares = Spares::new();
        spares.give(vec![b'x'; SPARE_CAPACITY]);
        let buffer = spares.take();
        assert_eq!((buffer.len(), buffer.capacity()), (0, SPARE_CAPACITY));
        assert_eq!(spares.take().capacity(), 0);
    }

    #[test]
    fn a_large_buffer_is_not_kept_nor_more_than_enough() {
        let spares = Spares::new();
        spares.give(vec![b'x'; SPARE_CAPACITY + 1]);
        assert_eq!(spares.take().capacity(), 0);
        for _ in 0..2 * SPARES {
            spares.give(vec![b'x'; 10]);
        }
        let kept =
            std::iter::repeat_with(|| spares.take()).take_while(|buffer| buffer.capacity() > 0).count();
        assert_eq!(kept, SPARES);
    }
}
