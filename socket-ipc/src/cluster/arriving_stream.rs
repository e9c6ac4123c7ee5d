//! A stream of another node, as its messages arrive: what is missing is noticed by the numbers of the items.

use std::sync::Arc;
use std::task::Waker;

use async_nats::Message;

use super::headers::{self, ErrorFrom};
use super::pending::NoReply;
use crate::connection::{ItemQueue, Stored};
use crate::error::error_reply::ErrorReply;
use crate::wire::StreamPart;

/// How a stream of another node ends, unless by an item beyond its window.
#[derive(Clone, Debug)]
pub(super) enum StreamEnd {
    /// The responder's stream has ended.
    Done,
    Error(ErrorFrom, ErrorReply),
    /// Nobody subscribes to the subject of the request.
    Nobody,
    NoReply(NoReply),
    /// This many items or more did not arrive.
    ItemsLost {
        count: u64,
    },
    NotAStream,
    /// This node leaves.
    Left,
}

/// A stream whose request is pending.
pub(super) struct ArrivingStream {
    pub(super) items: Arc<ItemQueue<StreamEnd>>,
    /// The number of the next item.
    next: u64,
    /// How many bytes of items the reader has said that it takes in all, since the request.
    pub(super) granted: Option<u64>,
}

/// What a message does to a stream.
#[derive(Default)]
pub(super) struct Step {
    /// To be woken.
    pub(super) reader: Option<Waker>,
    /// The stream has ended.
    pub(super) ended: Option<StreamEnd>,
    /// The node that has the request does not know that it has ended.
    pub(super) is_told: bool,
    /// Why the message was not acted on.
    pub(super) refused: Option<&'static str>,
}

impl Step {
    fn ended(end: StreamEnd) -> Self {
        Self { ended: Some(end), ..Self::default() }
    }

    fn broken(end: StreamEnd) -> Self {
        Self { is_told: true, ..Self::ended(end) }
    }

    fn refused(reason: &'static str) -> Self {
        Self { refused: Some(reason), ..Self::default() }
    }
}

impl ArrivingStream {
    pub(super) fn new(window: u64) -> Self {
        Self { items: Arc::new(ItemQueue::new(Some(window))), next: 1, granted: None }
    }

    /// The stream has begun, and the next item would have this number.
    pub(super) fn sign(&mut self, next: u64) -> Step {
        if next > self.next {
            return self.lost(next);
        }
        let (_, reader) = self.items.store(StreamPart::Started, b"");
        Step { reader, ..Step::default() }
    }

    pub(super) fn take(&mut self, message: &Message) -> Step {
        if headers::is_nobody(message) {
            return Step::ended(StreamEnd::Nobody);
        }
        let number = headers::item(message);
        if let Some(number) = number
            && number > self.next
        {
            return self.lost(number);
        }
        if let Some((from, error)) = headers::error_reply(message) {
            return Step::ended(StreamEnd::Error(from, error));
        }
        match number {
            None => Step::broken(StreamEnd::NotAStream),
            Some(_) if headers::is_end(message) => Step::ended(StreamEnd::Done),
            Some(number) if number < self.next => Step::refused("items of a stream that came before"),
            Some(_) => self.store(&message.payload),
        }
    }

    /// Stores the items of a message, one a line.
    fn store(&mut self, payload: &[u8]) -> Step {
        let mut step = Step::default();
        let before = self.next;
        for item in payload.split(|byte| *byte == b'\n').filter(|item| !item.is_empty()) {
            let (stored, reader) = self.items.store(StreamPart::Item, item);
            step.reader = step.reader.or(reader);
            if stored != Stored::Open {
                // The queue has its own end already: the item is beyond the window.
                return Step { reader: step.reader, ..Step::broken(StreamEnd::NotAStream) };
            }
            self.next = self.next.saturating_add(1);
        }
        if self.next == before { Step::refused("a message of a stream without an item") } else { step }
    }

    fn lost(&self, number: u64) -> Step {
        Step::broken(StreamEnd::ItemsLost { count: number - self.next })
    }
}
