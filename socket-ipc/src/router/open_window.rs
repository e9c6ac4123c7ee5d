//! The window of a stream that this endpoint sends: how many bytes its requester still takes.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::limits::ITEM_COST;
use crate::sync::lock;
use crate::wire::Window;

/// Between the session, which reads renewals, and the responder's stream. It is a number: it costs no memory, however
/// large the requester makes it.
#[derive(Debug)]
pub(crate) struct OpenWindow(Mutex<State>);

#[derive(Debug)]
struct State {
    /// `None` is any number of bytes.
    left: Option<i64>,
    /// The most that has been open at once: no item may be longer.
    most: u64,
    /// The endpoint closes: the stream has to end.
    is_closing: bool,
    stream: Option<Waker>,
}

/// Whether the stream may send an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaySend {
    Item,
    /// The endpoint closes.
    End,
}

/// An item of this length is longer than the whole window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    pub(crate) size: usize,
    pub(crate) window: u64,
}

impl OpenWindow {
    pub(crate) fn new(window: Window) -> Self {
        let (left, most) = match window {
            Window::Bytes(bytes) => (Some(signed(bytes)), bytes),
            Window::Unlimited => (None, u64::MAX),
        };
        Self(Mutex::new(State { left, most, is_closing: false, stream: None }))
    }

    /// The requester takes this many more bytes.
    pub(crate) fn open(&self, bytes: u64) {
        self.change(|state| {
            if let Some(left) = &mut state.left {
                *left = left.saturating_add(signed(bytes));
                state.most = state.most.max(u64::try_from(*left).unwrap_or(0));
            }
        });
    }

    /// The stream has to end, because the endpoint closes.
    pub(crate) fn close(&self) {
        self.change(|state| state.is_closing = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let stream = state.stream.take();
        drop(state);
        if let Some(stream) = stream {
            stream.wake();
        }
    }

    /// Waits until the window is open. The task is woken when it changes.
    pub(crate) fn poll_open(&self, cx: &Context<'_>) -> Poll<MaySend> {
        let mut state = lock(&self.0);
        if state.is_closing {
            return Poll::Ready(MaySend::End);
        }
        // Also where it is open: the stream may wait for its next item while the endpoint begins to close.
        match &state.stream {
            Some(before) if before.will_wake(cx.waker()) => {}
            _ => state.stream = Some(cx.waker().clone()),
        }
        if state.left.is_none_or(|left| left > 0) { Poll::Ready(MaySend::Item) } else { Poll::Pending }
    }

    /// Takes an item, whose line has this length, off the window.
    pub(crate) fn take(&self, len: usize) -> Result<(), TooLong> {
        let mut state = lock(&self.0);
        if len as u64 > state.most {
            return Err(TooLong { size: len, window: state.most });
        }
        if let Some(left) = &mut state.left {
            *left = left.saturating_sub(signed(cost(len)));
        }
        Ok(())
    }
}

/// What an item whose line has this length takes of the window.
pub(crate) fn cost(len: usize) -> u64 {
    len.max(ITEM_COST) as u64
}

/// A number of bytes that can be subtracted from; at most `i64::MAX`.
pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    fn may_send(window: &OpenWindow) -> Poll<MaySend> {
        window.poll_open(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn open_window_used_up_waits_for_renewal() {
        let window = OpenWindow::new(Window::Bytes(200));
        for len in [10, 100, 150] {
            assert_eq!(may_send(&window), Poll::Ready(MaySend::Item));
            assert_eq!(window.take(len), Ok(()));
        }
        assert!(may_send(&window).is_pending());
        window.open(114);
        assert!(may_send(&window).is_pending(), "the last item took 114 bytes more than were left");
        window.open(1);
        assert_eq!(may_send(&window), Poll::Ready(MaySend::Item));
        assert_eq!(window.take(201), Err(TooLong { size: 201, window: 200 }));
        window.close();
        assert_eq!(may_send(&window), Poll::Ready(MaySend::End));
    }

    #[test]
    fn open_window_extreme_numbers_saturate() {
        let window = OpenWindow::new(Window::Bytes(0));
        assert!(may_send(&window).is_pending());
        for _ in 0..3 {
            window.open(u64::MAX);
        }
        assert_eq!(may_send(&window), Poll::Ready(MaySend::Item));
        assert_eq!(window.take(usize::MAX / 4), Ok(()));
        assert_eq!(may_send(&window), Poll::Ready(MaySend::Item));
        let window = OpenWindow::new(Window::Unlimited);
        assert_eq!(window.take(usize::MAX), Ok(()));
        assert_eq!(may_send(&window), Poll::Ready(MaySend::Item));
    }

    #[test]
    fn open_window_wakes_the_task_that_waited_last() {
        struct Task;
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let window = OpenWindow::new(Window::Bytes(0));
        let [first, last] = [(); 2].map(|()| Waker::from(Arc::new(Task)));
        for waker in [&first, &last] {
            assert!(window.poll_open(&Context::from_waker(waker)).is_pending());
        }
        let woken = lock(&window.0).stream.take();
        assert!(woken.is_some_and(|woken| woken.will_wake(&last)));
    }
}
