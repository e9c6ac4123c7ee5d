//! The contents of an outbox, in the order in which they are written.

use std::collections::VecDeque;
use std::sync::Arc;

use super::broadcast::{SHARE_FROM, Shared, Span};
use crate::connection::buffer_pool::PROCESS_POOL;

/// For how many segments an idle outbox keeps memory.
const FEW: usize = 4;

/// Whole messages on their way to the socket.
#[derive(Debug)]
pub(crate) enum Segment {
    Own {
        bytes: Vec<u8>,
        messages: u64,
    },
    Span(Span),
    /// One message.
    Shared(Arc<Shared>),
}

impl Segment {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own { bytes, .. } => bytes,
            Self::Span(span) => span.bytes(),
            Self::Shared(shared) => shared.bytes(),
        }
    }

    pub(super) fn messages(&self) -> u64 {
        match self {
            Self::Own { messages, .. } => *messages,
            Self::Span(span) => span.messages(),
            Self::Shared(_) => 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            // Not by its bytes, which would seal the chunk.
            Self::Span(span) => span.len(),
            _ => self.bytes().len(),
        }
    }

    /// How many of `len` of its bytes count in the total for this outbox. A shared broadcast is counted by itself.
    pub(super) fn counted(&self, len: usize) -> usize {
        if let Self::Shared(_) = self { 0 } else { len }
    }

    /// Appends its bytes to `buffer`, and returns its own buffer to the pool.
    pub(super) fn copy_to(self, buffer: &mut Vec<u8>) {
        if let Self::Span(span) = self {
            return span.copy_to(buffer);
        }
        buffer.extend_from_slice(self.bytes());
        self.reuse();
    }

    /// Copies it, if it keeps a whole chunk in memory for a few bytes.
    pub(in crate::connection) fn release_chunk(&mut self) {
        if let Self::Span(span) = self
            && span.wastes_a_chunk()
        {
            let mut bytes = Vec::with_capacity(span.len());
            span.copy_to(&mut bytes);
            *self = Self::Own { bytes, messages: span.messages() };
        }
    }

    /// Returns its buffer to the pool.
    pub(in crate::connection) fn reuse(self) {
        if let Self::Own { bytes, .. } = self {
            PROCESS_POOL.give(bytes);
        }
    }
}

/// Segments. `span` and `tail` still take messages.
#[derive(Debug, Default)]
pub(super) struct Contents {
    before: VecDeque<Segment>,
    /// Broadcasts, written after `before`. Only `tail` is queued after them.
    span: Option<Span>,
    /// Written last.
    tail: Vec<u8>,
    tail_messages: u64,
}

impl Contents {
    pub(super) fn is_empty(&self) -> bool {
        self.tail.is_empty() && self.span.is_none() && self.before.is_empty()
    }

    /// Appends a message to those that go out in one write.
    pub(super) fn append(&mut self, message: &[u8]) {
        self.append_uncounted(message);
        self.tail_messages += 1;
    }

    /// Appends bytes that count as no message: no sender is told if they are lost.
    pub(super) fn append_uncounted(&mut self, message: &[u8]) {
        if self.tail.capacity() == 0 {
            self.tail = PROCESS_POOL.take();
        }
        self.tail.extend_from_slice(message);
    }

    /// Adds a short broadcast without copying it, and says whether it did. After a gap in the broadcasts it does not:
    /// the outbox would keep whole chunks for a few messages of each.
    pub(super) fn extend(&mut self, next: &Span) -> bool {
        if !self.tail.is_empty() {
            return false;
        }
        match &mut self.span {
            Some(span) if span.is_followed_by(next) => {
                if !span.extend(next) {
                    self.before.push_back(Segment::Span(std::mem::replace(span, next.clone())));
                }
                true
            }
            None if self.before.is_empty() => {
                self.span = Some(next.clone());
                true
            }
            _ => false,
        }
    }

    /// Adds a long broadcast.
    pub(super) fn share(&mut self, shared: &Arc<Shared>) {
        if let Some(span) = self.span.take() {
            self.before.push_back(Segment::Span(span));
        }
        if let Some(tail) = self.take_tail() {
            self.before.push_back(tail);
        }
        self.before.push_back(Segment::Shared(Arc::clone(shared)));
    }

    /// Releases the chunks of which it needs little.
    pub(super) fn release_chunks(&mut self) {
        self.before.iter_mut().for_each(Segment::release_chunk);
        if let Some(span) = self.span.take() {
            let mut segment = Segment::Span(span);
            segment.release_chunk();
            match segment {
                Segment::Span(span) => self.span = Some(span),
                copied => self.before.push_back(copied),
            }
        }
    }

    /// Takes the first segment.
    pub(super) fn pop(&mut self) -> Option<Segment> {
        if let Some(first) = self.before.pop_front() {
            if self.before.is_empty() {
                // Enough for an occasional long broadcast.
                self.before.shrink_to(FEW);
            }
            return Some(first);
        }
        self.span.take().map(Segment::Span).or_else(|| self.take_tail())
    }

    /// Takes the first segment, if it is shorter than `room` and cheaper to copy than to write apart.
    pub(super) fn pop_short(&mut self, room: usize) -> Option<Segment> {
        let len = match (self.before.front(), &self.span) {
            (Some(first), _) => first.len(),
            (None, Some(span)) => span.len(),
            (None, None) => self.tail.len(),
        };
        if len < SHARE_FROM.min(room) { self.pop() } else { None }
    }

    fn take_tail(&mut self) -> Option<Segment> {
        if self.tail.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.tail);
        Some(Segment::Own { bytes, messages: std::mem::take(&mut self.tail_messages) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::OutboxBudget;
    use super::super::broadcast::{Body, BroadcastLog};
    use super::{Contents, SHARE_FROM};

    #[test]
    fn contents_gap_in_broadcasts_stops_sharing_until_empty() {
        let (log, total) = (BroadcastLog::default(), OutboxBudget::new(usize::MAX));
        let bytes = vec![b'x'; SHARE_FROM - 1];
        // Long enough for several chunks.
        let broadcasts: Vec<_> = (0..20).map(|_| log.broadcast(&bytes, &total, 2)).collect();
        let spans = broadcasts.iter().filter_map(|broadcast| match broadcast.body() {
            Body::Short(span) => span.as_ref(),
            Body::Long(_) => None,
        });
        let (mut all, mut some, mut sent) = (Contents::default(), Contents::default(), Contents::default());
        for (at, span) in spans.enumerate() {
            assert!(all.extend(span));
            if at == 1 {
                sent.append(b"x");
            } else {
                assert_eq!(some.extend(span), at < 1);
            }
            assert_eq!(sent.extend(span), at < 1);
        }
        for mut contents in [all, some, sent] {
            while contents.pop().is_some() {}
            assert!(contents.is_empty());
            let broadcast = log.broadcast(&bytes, &total, 2);
            assert!(matches!(broadcast.body(), Body::Short(Some(span)) if contents.extend(span)));
        }
    }

    #[test]
    fn contents_long_broadcast_stops_sharing_until_empty() {
        let (log, total) = (BroadcastLog::default(), OutboxBudget::new(usize::MAX));
        let mut contents = Contents::default();
        let long = vec![b'x'; SHARE_FROM];
        let (long, short) = (log.broadcast(&long, &total, 2), log.broadcast(b"x", &total, 2));
        let (Body::Long(shared), Body::Short(Some(span))) = (long.body(), short.body()) else {
            panic!("one is long, and one short")
        };
        contents.share(shared);
        assert!(!contents.extend(span));
        while contents.pop().is_some() {}
        assert!(contents.extend(span));
    }

    #[test]
    fn contents_taken_broadcasts_free_their_chunks() {
        let (log, total) = (BroadcastLog::default(), OutboxBudget::new(usize::MAX));
        let mut contents = Contents::default();
        for _ in 0..3 {
            for _ in 0..1_000 {
                let broadcast = log.broadcast(&[b'x'; 100], &total, 2);
                assert!(matches!(broadcast.body(), Body::Short(Some(span)) if contents.extend(span)));
            }
            assert!(log.keeps_a_chunk());
            while contents.pop().is_some() {}
            assert!(!log.keeps_a_chunk());
        }
    }
}
