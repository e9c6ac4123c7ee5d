//! Keeps written buffers for the next connection that has something to write.
//!
//! An idle connection keeps no buffer. If written buffers were freed, the allocator would give their pages back to the
//! kernel, which would clear them again for the next messages: with many clients that costs more than filling them.

use std::sync::Mutex;

/// Larger buffers are freed. A message of 1 MiB, and what was queued before it, fit.
const POOL_BUFFER_CAPACITY: usize = 2 * 1024 * 1024;

/// The limits of the pool, in bytes and in buffers.
const POOL_BYTES: usize = 8 * 1024 * 1024;
const POOL_BUFFERS: usize = 64;

/// The pool of the process.
pub(super) static PROCESS_POOL: BufferPool = BufferPool::new();

/// Empty buffers. A thread that would have to wait for the lock makes a new buffer, or frees its own.
#[derive(Debug)]
pub(super) struct BufferPool(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl BufferPool {
    const fn new() -> Self {
        Self(Mutex::new(Kept { buffers: Vec::new(), bytes: 0 }))
    }

    /// Takes an empty buffer: the last one kept, which may still be in the processor's cache, or a new one.
    pub(super) fn take(&self) -> Vec<u8> {
        let Ok(mut kept) = self.0.try_lock() else { return Vec::new() };
        let buffer = kept.buffers.pop().unwrap_or_default();
        kept.bytes -= buffer.capacity();
        buffer
    }

    /// Clears a buffer and keeps it, unless it is large or the pool is full.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let len = buffer.capacity();
        if len <= POOL_BUFFER_CAPACITY
            && let Ok(mut kept) = self.0.try_lock()
            && kept.buffers.len() < POOL_BUFFERS
            && kept.bytes + len <= POOL_BYTES
        {
            kept.bytes += len;
            kept.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BufferPool, POOL_BUFFER_CAPACITY, POOL_BUFFERS, POOL_BYTES};

    fn give(pool: &BufferPool, count: usize, capacity: usize) {
        for _ in 0..count {
            pool.give(vec![b'x'; capacity]);
        }
    }

    fn count(pool: &BufferPool) -> usize {
        std::iter::repeat_with(|| pool.take()).take_while(|buffer| buffer.capacity() > 0).count()
    }

    #[test]
    fn buffer_pool_take_returns_empty_buffer() {
        let pool = BufferPool::new();
        give(&pool, 1, POOL_BUFFER_CAPACITY);
        let buffer = pool.take();
        assert_eq!((buffer.len(), buffer.capacity()), (0, POOL_BUFFER_CAPACITY));
        assert_eq!(count(&pool), 0);
    }

    #[test]
    fn buffer_pool_large_or_excess_buffers_are_freed() {
        let pool = BufferPool::new();
        give(&pool, 1, POOL_BUFFER_CAPACITY + 1);
        assert_eq!(count(&pool), 0);
        // Taking buffers makes room again.
        for _ in 0..2 {
            give(&pool, 2 * POOL_BUFFERS, 10);
            assert_eq!(count(&pool), POOL_BUFFERS);
            give(&pool, POOL_BUFFERS, POOL_BUFFER_CAPACITY);
            assert_eq!(count(&pool), POOL_BYTES / POOL_BUFFER_CAPACITY);
        }
    }

    #[test]
    fn buffer_pool_limit_matches_documentation() {
        let stated = format!("up to {} MiB of buffers that have been written", POOL_BYTES / 1024 / 1024);
        assert!(include_str!("../guide/performance.md").replace('\n', " ").contains(&stated));
    }
}
