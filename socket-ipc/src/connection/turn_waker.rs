//! Wakes the task of a connection for its responders, but not while that task polls them itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Nothing is polled: a wake reaches the task.
const RESTING: u8 = 0;
/// The task polls the responders.
const POLLING: u8 = 1;
/// The same, and a wake came meanwhile.
const WOKEN: u8 = 2;

/// The waker that the responders of a connection are polled with.
///
/// A set of futures wakes its task once all of them have been polled, and a cancel wakes the responder that it drops. A
/// task that is woken while it runs goes to the end of the runtime's queue when it yields, and is polled many times
/// before the runtime looks for I/O of others. So when a wake comes while the task polls the responders, the task polls
/// them once more at once.
#[derive(Debug)]
pub(super) struct TurnWaker {
    shared: Arc<Shared>,
    /// The same, as a waker.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Shared {
    task: AtomicWaker,
    state: AtomicU8,
}

impl TurnWaker {
    pub(super) fn new() -> Self {
        let shared = Arc::new(Shared::default());
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Calls `poll`, and once more if it was woken meanwhile. If it was woken then, too, the task is woken.
    pub(super) fn poll(&self, cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>)) {
        let Shared { task, state } = &*self.shared;
        task.register(cx.waker());
        let mut turn = Context::from_waker(&self.waker);
        state.store(POLLING, Ordering::SeqCst);
        poll(&mut turn);
        if state.compare_exchange(WOKEN, POLLING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            poll(&mut turn);
        }
        if state.swap(RESTING, Ordering::SeqCst) == WOKEN {
            cx.waker().wake_by_ref();
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| (state != RESTING).then_some(WOKEN));
        if noted.is_err() {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn turn_waker_woken_while_polling_polls_once_more() {
        let (turn, count) = (TurnWaker::new(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let woken = || count.0.load(Ordering::SeqCst);
        for (wakes, polls, tasks) in [(0, 1, 0), (1, 2, 0), (2, 2, 1), (usize::MAX, 2, 1)] {
            let (mut polled, before) = (0, woken());
            turn.poll(&mut Context::from_waker(&waker), |cx| {
                polled += 1;
                if polled <= wakes {
                    cx.waker().wake_by_ref();
                }
            });
            assert_eq!((polled, woken() - before), (polls, tasks), "{wakes} wakes");
        }
    }

    #[test]
    fn turn_waker_woken_at_rest_wakes_the_task() {
        let (turn, count) = (TurnWaker::new(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut kept = None;
        turn.poll(&mut Context::from_waker(&waker), |cx| kept = Some(cx.waker().clone()));
        kept.unwrap().wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
