//! A stream that this node sends to another one: the numbers of its items, and its window.
//!
//! Between the nodes an item takes as much of the window as its JSON text is long. The server of this node, which
//! responds, counts the lines of its own wire, which are longer. What they are longer is given back to it, so that both
//! come to the end of the window at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::router::{OpenWindow, cost, signed};
use crate::sync::lock;
use crate::wire::Window;

pub(super) struct TakenStream {
    /// The number of the next item; 0 before the responder has begun.
    next: AtomicU64,
    window: u64,
    credit: Mutex<Credit>,
    /// The window of a stream of a client of this node.
    pub(super) of_client: OpenWindow,
}

struct Credit {
    /// How many bytes of items the requester takes in all.
    limit: u64,
    /// What is left of the window of the server that responds.
    left: i64,
    /// What it is to be told that it may send beyond that.
    due: u64,
    /// A line that tells it is queued.
    is_queued: bool,
}

impl TakenStream {
    pub(super) fn new(window: u64) -> Self {
        let credit = Credit { limit: window, left: signed(window), due: 0, is_queued: false };
        Self {
            next: AtomicU64::new(0),
            window,
            credit: Mutex::new(credit),
            of_client: OpenWindow::new(Window::Bytes(window)),
        }
    }

    /// The number of the next item of a stream that has begun.
    pub(super) fn next(&self) -> Option<u64> {
        Some(self.next.load(Ordering::Acquire)).filter(|next| *next > 0)
    }

    pub(super) fn begin(&self) {
        // An error means that it has begun before.
        let _ = self.next.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Items were published. Behind that: a sign of life that counts them comes after them.
    pub(super) fn published(&self, count: u64) {
        self.next.fetch_add(count, Ordering::AcqRel);
    }

    /// The requester takes this many bytes in all. Returns how many more these are than before, and whether a line that
    /// tells the server is to be queued.
    pub(super) fn grant(&self, limit: u64) -> (u64, bool) {
        let mut credit = lock(&self.credit);
        let more = limit.saturating_sub(credit.limit);
        credit.limit += more;
        credit.due = credit.due.saturating_add(more);
        (more, credit.due > 0 && !std::mem::replace(&mut credit.is_queued, true))
    }

    /// The server has sent an item: a line of this length, of which the JSON text is a part. Says whether a line that tells
    /// it of more is to be queued.
    pub(super) fn has_sent(&self, line: usize, text: usize) -> bool {
        let mut credit = lock(&self.credit);
        credit.left = credit.left.saturating_sub(signed(cost(line)));
        credit.due = credit.due.saturating_add(cost(line).saturating_sub(cost(text)));
        let is_time = credit.left <= 0 || credit.due >= self.window / 4;
        credit.due > 0 && is_time && !std::mem::replace(&mut credit.is_queued, true)
    }

    /// What the line says that was queued.
    pub(super) fn take_due(&self) -> u64 {
        let mut credit = lock(&self.credit);
        credit.is_queued = false;
        let due = std::mem::take(&mut credit.due);
        credit.left = credit.left.saturating_add(signed(due));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_given_back_before_the_window_is_used_up() {
        let stream = TakenStream::new(1000);
        // 200 bytes of text in lines of 240.
        assert!((0..4).all(|_| !stream.has_sent(240, 200)), "160 of 1000 are no quarter");
        assert!(stream.has_sent(240, 200), "the server has 1000 - 1200 left");
        assert!(!stream.has_sent(240, 200), "a line is queued already");
        assert_eq!(stream.take_due(), 240);
        assert_eq!((stream.grant(1500), stream.grant(1500)), ((500, true), (0, false)));
        assert_eq!(stream.take_due(), 500);
    }

    #[test]
    fn grants_of_any_number_saturate_and_never_go_back() {
        let stream = TakenStream::new(0);
        assert_eq!(stream.grant(0), (0, false));
        assert_eq!(stream.grant(u64::MAX), (u64::MAX, true));
        assert_eq!(stream.grant(5), (0, false), "a line is queued already");
        assert!(!stream.has_sent(usize::MAX, 1));
        assert_eq!(stream.take_due(), u64::MAX);
        assert!(!stream.has_sent(10, 5), "short items take the same in both");
    }
}
