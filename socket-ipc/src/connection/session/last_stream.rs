//! The stream whose item arrived last: most items are of the stream of the one before.

use std::sync::Arc;

use crate::connection::PendingRequests;
use crate::connection::item_queue::ItemQueue;

/// Stores the items of one stream without a look at the pending requests, for as long as nothing but its window bounds
/// it.
///
/// Only the session stores lines, so they stay in order whichever way each is stored. The queue says under its lock
/// whether it takes an item this way; once it does not, the pending requests decide. So a stream that is cancelled, has
/// ended or has a deadline is found there, as before.
#[derive(Debug, Default)]
pub(super) struct LastStream {
    id: u64,
    /// `None` until two items in a row are of the stream.
    items: Option<Arc<ItemQueue>>,
    /// Items, and their bytes, that were stored and are not counted yet.
    uncounted: (u64, usize),
}

impl LastStream {
    /// Stores an item, and says whether it did.
    #[inline]
    pub(super) fn store(&mut self, id: u64, line: &[u8]) -> bool {
        if self.id != id {
            return false;
        }
        let Some(reader) = self.items.as_ref().and_then(|items| items.store_direct(line)) else {
            return false;
        };
        let (messages, bytes) = self.uncounted;
        self.uncounted = (messages + 1, bytes + line.len());
        // Without the lock.
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// Notes that an item of a stream was stored by the pending requests.
    pub(super) fn stored(&mut self, id: u64, requests: &PendingRequests) {
        if self.id != id {
            (self.id, self.items) = (id, None);
        } else if self.items.is_none() {
            self.items = requests.items_of(id);
        }
    }

    /// Takes the number of items stored since the last call, and their bytes.
    pub(super) fn take_uncounted(&mut self) -> (u64, usize) {
        std::mem::take(&mut self.uncounted)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Handle;
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn item(id: u64) -> Vec<u8> {
        format!(r#"{{"topic":"count","message":1,"more":true,"re":{id}}}"#).into_bytes()
    }

    /// A stream that two items have arrived of.
    fn stream_of_two_items() -> (LastStream, Arc<PendingRequests>, Arc<ItemQueue>, u64) {
        let requests = PendingRequests::new(10, None, Handle::current());
        let items = Arc::new(ItemQueue::new(Some(10_000)));
        let id = requests.begin_stream(Arc::clone(&items), LONG).unwrap();
        let mut last = LastStream::default();
        for _ in 0..2 {
            assert!(!last.store(id, &item(id)), "it is not known yet");
            assert!(requests.resolve(id, &item(id)));
            last.stored(id, &requests);
        }
        (last, requests, items, id)
    }

    #[tokio::test]
    async fn last_stream_third_item_in_a_row_is_stored_and_counted() {
        let (mut last, requests, items, id) = stream_of_two_items();
        assert!(!last.store(id + 1, &item(id + 1)), "another stream");
        assert!(last.store(id, &item(id)));
        assert_eq!(last.take_uncounted(), (1, item(id).len()));
        assert_eq!(last.take_uncounted(), (0, 0));
        let other = requests.begin_stream(items, LONG).unwrap();
        last.stored(other, &requests);
        assert!(!last.store(id, &item(id)), "another stream was the last one");
        assert!(!last.store(other, &item(other)), "it had one item");
    }

    #[tokio::test]
    async fn last_stream_given_up_or_ended_is_left_to_the_requests() {
        let (mut last, requests, items, id) = stream_of_two_items();
        requests.forget(id);
        items.abandon();
        assert!(!last.store(id, &item(id)));
        assert!(!requests.resolve(id, &item(id)), "nobody waits for it");
        let (mut last, requests, _items, id) = stream_of_two_items();
        let end = format!(r#"{{"topic":"count","message":null,"re":{id}}}"#);
        assert!(requests.resolve(id, end.as_bytes()));
        assert!(!last.store(id, &item(id)));
        assert!(!requests.resolve(id, &item(id)), "it has ended");
    }

    #[tokio::test]
    async fn last_stream_with_deadline_is_left_to_the_requests_which_end_it() {
        let (mut last, requests, items, id) = stream_of_two_items();
        items.expect_within_deadline();
        assert!(requests.set_deadline(id, Instant::now().checked_add(LONG)));
        assert!(!last.store(id, &item(id)));
        assert!(requests.resolve(id, &item(id)));
        assert_eq!(requests.deadline_of(id), None);
    }
}
