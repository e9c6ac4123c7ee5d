//! The requests among the messages that are held back, so that a cancel finds those that have not begun.

use std::collections::VecDeque;

use memchr::memmem;

use crate::limits::MAX_REQUESTS;
use crate::wire::{EnvelopeKind, RequestId, Wire, request_id_at_end};

/// The requests that were scanned among the held-back messages, in order. There are at most `max_requests`, or
/// [`MAX_REQUESTS`] if that is more: a peer with the same options has no more pending. The cancel of a further request
/// is lost, and its responder runs.
#[derive(Debug, Default)]
pub(super) struct HeldRequests {
    requests: VecDeque<HeldRequest>,
}

#[derive(Debug)]
struct HeldRequest {
    id: RequestId,
    /// Where it begins, in bytes since the connection began, and its length.
    at: u64,
    len: usize,
}

impl HeldRequests {
    /// Notes a scanned message, if it is a request.
    pub(super) fn note(&mut self, wire: Wire, bytes: &[u8], at: u64, max_requests: usize) {
        if self.requests.len() < max_requests.max(MAX_REQUESTS)
            && let Some(id) = request_id(wire, bytes)
        {
            self.requests.push_back(HeldRequest { id, at, len: bytes.len() });
        }
    }

    /// Takes out the requests with this id. Returns where they begin, and their lengths.
    pub(super) fn take(&mut self, id: &RequestId) -> Vec<(u64, usize)> {
        let mut taken = Vec::new();
        self.requests.retain(|request| {
            let is_it = request.id == *id;
            if is_it {
                taken.push((request.at, request.len));
            }
            !is_it
        });
        taken
    }

    /// Forgets the requests that begin before this place: they were dispatched.
    pub(super) fn forget_before(&mut self, at: u64) {
        while self.requests.front().is_some_and(|request| request.at < at) {
            self.requests.pop_front();
        }
    }

    /// Forgets all: nothing is held back.
    pub(super) fn clear(&mut self) {
        self.requests = VecDeque::new();
    }
}

/// The id of a message that is a request, however it is written.
pub(super) fn request_id(wire: Wire, bytes: &[u8]) -> Option<RequestId> {
    request_id_at_end(bytes).or_else(|| {
        // Other programs may write the id anywhere.
        memmem::find(bytes, b"\"id\"")?;
        match wire.decode(bytes).ok()?.kind {
            EnvelopeKind::Request(id) => Some(id),
            EnvelopeKind::Message | EnvelopeKind::Reply(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: Wire = Wire::JSON_LINES;

    #[test]
    fn held_requests_take_returns_all_of_an_id_once() {
        let mut requests = HeldRequests::default();
        let lines = [
            r#"{"topic":"add","message":1,"id":7}"#,
            r#"{"id":7,"topic":"add","message":"longer"}"#,
            r#"{"topic":"add","message":1,"id":"7"}"#,
            r#"{"topic":"add","message":{"id":7}}"#,
        ];
        for (at, line) in lines.iter().enumerate() {
            requests.note(WIRE, line.as_bytes(), at as u64, 1);
        }
        let seven = RequestId::from(7);
        assert_eq!(requests.take(&seven), [(0, lines[0].len()), (1, lines[1].len())]);
        assert_eq!(requests.take(&seven), []);
        requests.forget_before(2);
        assert_eq!(requests.requests.len(), 1, "the one whose id is a string");
        requests.forget_before(3);
        assert_eq!(requests.requests.len(), 0);
    }

    #[test]
    fn held_requests_beyond_limit_are_not_kept() {
        let mut requests = HeldRequests::default();
        for (max_requests, most) in [(1, MAX_REQUESTS), (MAX_REQUESTS + 5, MAX_REQUESTS + 5)] {
            for at in 0..2 * MAX_REQUESTS {
                requests.note(WIRE, br#"{"topic":"add","message":1,"id":7}"#, at as u64, max_requests);
            }
            assert_eq!(requests.requests.len(), most);
        }
    }

    #[test]
    fn held_requests_clear_leaves_none_and_no_memory() {
        let mut requests = HeldRequests::default();
        requests.note(WIRE, br#"{"topic":"add","message":1,"id":7}"#, 0, 1);
        requests.clear();
        assert_eq!((requests.take(&RequestId::from(7)), requests.requests.capacity()), (Vec::new(), 0));
    }
}
