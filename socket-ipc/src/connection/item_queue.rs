//! The items of a stream that have arrived and were not read.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::pending_requests::NoReply;
use crate::router::{cost, signed};
use crate::sync::lock;
use crate::wire::StreamPart;

/// Between the session, which stores the lines of a stream as they arrive, and the reader of the stream, which decodes
/// them. What it holds is bounded by the window that the reader has opened: it is less than the window and one item,
/// and an item is never longer than the window. `N` is why there is no end that the responder has sent.
#[derive(Debug)]
pub(crate) struct ItemQueue<N = NoReply>(Mutex<Arrived<N>>);

#[derive(Debug)]
struct Arrived<N> {
    lines: Lines,
    /// The largest number of bytes that the peer may send unread; `None` is any.
    window: Option<u64>,
    /// What is left of it. The last item may take more than is left: then this is negative.
    left: i64,
    /// The peer has begun to reply.
    has_started: bool,
    end: Option<End<N>>,
    reader: Option<Waker>,
    /// Items may be stored without a look at the request: nothing but the window bounds the stream.
    is_direct: bool,
}

/// How a stream ends.
#[derive(Clone, Debug)]
pub(crate) enum End<N = NoReply> {
    /// With this line: the end of the stream, an error reply, or a reply that is no stream.
    Line(Box<[u8]>),
    NoReply(N),
    /// The peer has sent an item of this length beyond the window.
    BeyondWindow {
        size: u64,
        window: u64,
    },
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// More lines may follow.
    Open,
    /// It was the last one.
    Ended,
    /// The line broke the rules, so the stream has ended. The peer does not know yet.
    Aborted,
}

/// What the reader finds.
#[derive(Debug)]
pub(crate) enum Arrival<N = NoReply> {
    Lines(Lines),
    /// There are no more lines.
    End {
        end: End<N>,
        has_started: bool,
    },
}

impl<N: Clone> ItemQueue<N> {
    pub(crate) fn new(window: Option<u64>) -> Self {
        Self(Mutex::new(Arrived {
            lines: Lines::default(),
            window,
            left: window.map_or(i64::MAX, signed),
            has_started: false,
            end: None,
            reader: None,
            is_direct: true,
        }))
    }

    /// Stores a line of the stream. Whoever calls this wakes the reader, without a lock.
    pub(crate) fn store(&self, part: StreamPart<'_>, line: &[u8]) -> (Stored, Option<Waker>) {
        let mut arrived = lock(&self.0);
        let stored = match part {
            StreamPart::Started => {
                arrived.has_started = true;
                Stored::Open
            }
            StreamPart::Item => arrived.store_item(line),
            _ => {
                arrived.end = Some(End::Line(line.into()));
                Stored::Ended
            }
        };
        (stored, arrived.reader.take())
    }

    /// Stores an item of a stream that has begun, as [`store`](Self::store) does, without a look at the request. `None`
    /// where the request has to be looked at; the item is not stored then.
    #[inline]
    pub(crate) fn store_direct(&self, line: &[u8]) -> Option<Option<Waker>> {
        let mut arrived = lock(&self.0);
        if !arrived.is_direct || !arrived.has_room(line) {
            return None;
        }
        arrived.take_in(line);
        Some(arrived.reader.take())
    }

    /// From now on each item ends the deadline of the request.
    pub(crate) fn expect_within_deadline(&self) {
        lock(&self.0).is_direct = false;
    }

    /// Nobody reads on. Only the queue itself is left: the session may hold it for long.
    pub(crate) fn abandon(&self) {
        let mut arrived = lock(&self.0);
        arrived.is_direct = false;
        arrived.lines = Lines::default();
        let (end, reader) = (arrived.end.take(), arrived.reader.take());
        drop(arrived);
        // Without the lock: a waker may be the program's.
        drop((end, reader));
    }

    /// Ends the stream. The lines that have arrived are read first.
    pub(crate) fn end(&self, no_reply: N) {
        let mut arrived = lock(&self.0);
        arrived.end.get_or_insert(End::NoReply(no_reply));
        let reader = arrived.reader.take();
        drop(arrived);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Waits for lines, or the end.
    pub(crate) fn poll_read(&self, cx: &Context<'_>) -> Poll<Arrival<N>> {
        let mut arrived = lock(&self.0);
        if !arrived.lines.is_empty() {
            return Poll::Ready(Arrival::Lines(std::mem::take(&mut arrived.lines)));
        }
        if let Some(end) = &arrived.end {
            return Poll::Ready(Arrival::End { end: end.clone(), has_started: arrived.has_started });
        }
        arrived.waits(cx);
        Poll::Pending
    }

    /// Waits until the peer has begun to reply. Returns the end, if that comes before.
    pub(crate) fn poll_started(&self, cx: &Context<'_>) -> Poll<Option<End<N>>> {
        let mut arrived = lock(&self.0);
        if arrived.has_started || arrived.end.is_some() {
            return Poll::Ready(arrived.end.clone().filter(|_| !arrived.has_started));
        }
        arrived.waits(cx);
        Poll::Pending
    }

    /// Whether the peer has begun to reply.
    pub(crate) fn has_started(&self) -> bool {
        lock(&self.0).has_started
    }

    /// Opens the window by this many bytes, and says whether the peer has to know.
    pub(crate) fn open(&self, bytes: u64) -> bool {
        let mut arrived = lock(&self.0);
        arrived.left = arrived.left.saturating_add(signed(bytes));
        arrived.end.is_none()
    }
}

impl<N> Arrived<N> {
    fn store_item(&mut self, line: &[u8]) -> Stored {
        if self.has_room(line) {
            self.take_in(line);
            return Stored::Open;
        }
        // Where the reader has an end already, that one counts: the line was on its way.
        if let (None, Some(window)) = (&self.end, self.window) {
            self.end = Some(End::BeyondWindow { size: line.len() as u64, window });
        }
        Stored::Aborted
    }

    /// Whether the stream goes on, and the window has room for this item.
    #[inline]
    fn has_room(&self, item: &[u8]) -> bool {
        self.end.is_none() && self.window.is_none_or(|window| self.left > 0 && item.len() as u64 <= window)
    }

    #[inline]
    fn take_in(&mut self, item: &[u8]) {
        if self.window.is_some() {
            self.left = self.left.saturating_sub(signed(cost(item.len())));
        }
        self.has_started = true;
        self.lines.push(item);
    }

    fn waits(&mut self, cx: &Context<'_>) {
        match &self.reader {
            Some(before) if before.will_wake(cx.waker()) => {}
            _ => self.reader = Some(cx.waker().clone()),
        }
    }
}

/// Lines, one after another in one buffer, each behind its length.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next one begins.
    next: usize,
}

const LEN: usize = size_of::<usize>();

impl Lines {
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.bytes.len()
    }

    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(&line.len().to_ne_bytes());
        self.bytes.extend_from_slice(line);
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let (len, rest) = self.bytes[self.next..].split_first_chunk::<LEN>()?;
        let len = usize::from_ne_bytes(*len);
        self.next += LEN + len;
        Some(&rest[..len])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// Each task has its own.
    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    fn item(queue: &ItemQueue, len: usize) -> Stored {
        queue.store(StreamPart::Item, &vec![b'x'; len]).0
    }

    fn read(queue: &ItemQueue) -> Poll<Arrival> {
        queue.poll_read(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn item_queue_lines_are_read_in_order_before_end() {
        let queue = ItemQueue::new(Some(1000));
        assert!(read(&queue).is_pending());
        for line in [&b"one"[..], b"", b"three"] {
            assert_eq!(queue.store(StreamPart::Item, line).0, Stored::Open);
        }
        queue.end(NoReply::TimedOut);
        queue.end(NoReply::NoRoom { limit: 1 });
        let Poll::Ready(Arrival::Lines(mut lines)) = read(&queue) else { panic!("no lines") };
        for line in [&b"one"[..], b"", b"three"] {
            assert_eq!(lines.next(), Some(line));
        }
        assert_eq!(lines.next(), None);
        let Poll::Ready(Arrival::End { end, has_started: true }) = read(&queue) else { panic!("no end") };
        assert!(matches!(end, End::NoReply(NoReply::TimedOut)), "the first end counts");
    }

    #[test]
    fn item_queue_item_beyond_window_aborts() {
        let queue = ItemQueue::new(Some(200));
        // A short one takes as much as one of 64 bytes, and the last one may take more than is left.
        assert_eq!(
            (item(&queue, 1), item(&queue, 100), item(&queue, 200)),
            (Stored::Open, Stored::Open, Stored::Open)
        );
        assert!(queue.open(164));
        assert_eq!(item(&queue, 1), Stored::Aborted, "what the last one took beyond it counts");
        assert_eq!(item(&queue, 1), Stored::Aborted, "nothing is stored behind the end");
        let queue = ItemQueue::new(Some(200));
        assert_eq!(item(&queue, 201), Stored::Aborted, "it is longer than the whole window");
        let queue = ItemQueue::new(Some(0));
        assert_eq!(item(&queue, 0), Stored::Aborted);
        assert!(!queue.open(100), "the stream has ended: the peer need not know");
        let queue = ItemQueue::new(None);
        assert_eq!(item(&queue, 100_000), Stored::Open);
    }

    #[test]
    fn item_queue_direct_item_beyond_window_or_end_is_left_to_the_request() {
        let queue = ItemQueue::<NoReply>::new(Some(100));
        let direct = |len| queue.store_direct(&vec![b'x'; len]).is_some();
        assert!(direct(100));
        assert!(!direct(1), "the window is used up");
        assert!(queue.open(100), "that has not ended the stream");
        assert!(!direct(101), "it is longer than the whole window");
        assert!(direct(100));
        queue.end(NoReply::TimedOut);
        assert!(!queue.open(100) && !direct(1), "it has ended");
        let Poll::Ready(Arrival::Lines(mut lines)) = read(&queue) else { panic!("no lines") };
        assert_eq!((lines.next().map(<[u8]>::len), lines.next().map(<[u8]>::len)), (Some(100), Some(100)));
        assert!(lines.next().is_none());
    }

    #[test]
    fn item_queue_with_deadline_or_without_reader_takes_no_direct_item() {
        let timed = ItemQueue::<NoReply>::new(Some(100));
        timed.expect_within_deadline();
        assert!(timed.store_direct(b"one").is_none());
        assert_eq!(item(&timed, 1), Stored::Open);
        let abandoned = ItemQueue::<NoReply>::new(Some(100));
        assert!(abandoned.store_direct(b"one").is_some_and(|reader| reader.is_none()));
        abandoned.abandon();
        abandoned.end(NoReply::TimedOut);
        assert!(abandoned.store_direct(b"two").is_none());
        abandoned.abandon();
        assert!(read(&abandoned).is_pending(), "neither what was not read is left, nor the end");
    }

    #[test]
    fn item_queue_direct_item_wakes_the_reader() {
        let queue = ItemQueue::<NoReply>::new(Some(100));
        assert!(read(&queue).is_pending());
        assert!(queue.store_direct(b"one").is_some_and(|reader| reader.is_some()));
        assert!(queue.has_started());
    }

    #[test]
    fn item_queue_opened_window_takes_more() {
        let queue = ItemQueue::new(Some(100));
        assert_eq!(item(&queue, 100), Stored::Open);
        assert!(queue.open(100));
        assert_eq!(item(&queue, 100), Stored::Open);
        assert!(queue.open(u64::MAX) && queue.open(u64::MAX), "it saturates");
        assert_eq!(item(&queue, 100), Stored::Open);
    }

    #[test]
    fn item_queue_end_before_start_tells() {
        let queue = ItemQueue::new(Some(100));
        assert_eq!(queue.store(StreamPart::None, b"end").0, Stored::Ended);
        assert!(matches!(read(&queue), Poll::Ready(Arrival::End { has_started: false, .. })));
        let queue = ItemQueue::new(Some(100));
        assert!(queue.poll_started(&Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(queue.store(StreamPart::Started, b"started").0, Stored::Open);
        assert!(queue.poll_started(&Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(queue.store(StreamPart::None, b"end").0, Stored::Ended);
        assert!(matches!(read(&queue), Poll::Ready(Arrival::End { has_started: true, .. })));
    }

    #[test]
    fn item_queue_start_or_end_ends_the_wait_for_the_start() {
        let cx = Context::from_waker(Waker::noop());
        let queue = ItemQueue::new(Some(100));
        assert!(!queue.has_started());
        queue.end(NoReply::TimedOut);
        let Poll::Ready(Some(end)) = queue.poll_started(&cx) else { panic!("no end before the start") };
        assert!(matches!(end, End::NoReply(NoReply::TimedOut)));
        assert!(!queue.has_started());
        let queue = ItemQueue::new(Some(100));
        assert_eq!(item(&queue, 1), Stored::Open, "an item is a start, too");
        queue.end(NoReply::TimedOut);
        assert!(matches!(queue.poll_started(&cx), Poll::Ready(None)), "the end is read after the items");
        assert!(queue.has_started());
    }

    #[test]
    fn item_queue_wakes_the_task_that_waited_last() {
        let queue: ItemQueue = ItemQueue::new(Some(100));
        let [first, last] = [(); 2].map(|()| Waker::from(Arc::new(Task)));
        for waker in [&first, &last] {
            assert!(queue.poll_read(&Context::from_waker(waker)).is_pending());
        }
        let woken = queue.store(StreamPart::Item, b"one").1;
        assert!(woken.is_some_and(|woken| woken.will_wake(&last)));
        assert!(queue.store(StreamPart::Item, b"two").1.is_none(), "it is woken once");
    }
}
