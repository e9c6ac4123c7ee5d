//! Blocks a thread until a future is ready.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::task::unconstrained;

use crate::sync::lock;

/// Waits for `future`, as long as it takes.
///
/// It needs no runtime, and may be called on a thread of one.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    // Not the thread's own `park`: a `Serialize` that waits as well would take the token of this call.
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut cx = Context::from_waker(&waker);
    // The budget of a tokio task is refilled only when the task yields, and this call does not yield.
    let mut future = pin!(unconstrained(future));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}

/// Waits for `future` until `deadline`, and polls it at least once; `None` is a deadline that never comes.
pub(super) fn wait_until<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    let Some(deadline) = deadline else { return Some(wait(future)) };
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(unconstrained(future));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Not polled again without a wake-up: that would hide a lost wake-up behind a long wait.
        if left.is_zero() || !sleeper.sleep_for(left) {
            return None;
        }
    }
}

/// The time `timeout` from now; `None` where that overflows.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// A thread that sleeps until it is woken.
#[derive(Default)]
struct Sleeper {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Sleeper {
    fn sleep(&self) {
        let woken = self.changed.wait_while(lock(&self.woken), |woken| !*woken);
        *woken.unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Says whether it was woken in time.
    fn sleep_for(&self, timeout: Duration) -> bool {
        let woken = self.changed.wait_timeout_while(lock(&self.woken), timeout, |woken| !*woken);
        std::mem::take(&mut *woken.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *lock(&self.woken) = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::thread;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn wait_returns_output_of_ready_and_pending_future() {
        assert_eq!(wait(ready(1)), 1);
        assert_eq!(wait_until(None, ready(1)), Some(1));
        let (sender, receiver) = oneshot::channel();
        let waiting = thread::spawn(move || wait(receiver));
        sender.send(2).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(2));
    }

    #[test]
    fn wait_until_woken_constantly_ends_at_deadline() {
        assert_eq!(wait_until(deadline(Duration::ZERO), ready(1)), Some(1), "it is polled once");
        assert_eq!(wait_until(deadline(Duration::ZERO), pending::<()>()), None);
        let start = Instant::now();
        assert_eq!(wait_until(deadline(SHORT), pending::<()>()), None);
        let restless = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(wait_until(deadline(SHORT), restless), None);
        assert!(start.elapsed() >= 2 * SHORT);
        assert_eq!(deadline(Duration::MAX), None);
    }

    #[test]
    fn wait_until_lost_wake_up_ends_at_deadline_without_output() {
        let mut polls = 0;
        let lost = poll_fn(|_| {
            polls += 1;
            if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
        });
        assert_eq!(wait_until(deadline(SHORT), lost), None);
    }

    #[test]
    fn wait_nested_leaves_wake_up_of_outer_wait() {
        let (sender, receiver) = oneshot::channel();
        let (mut sender, mut receiver) = (Some(sender), pin!(receiver));
        let outer = poll_fn(|cx| {
            let poll = receiver.as_mut().poll(cx);
            if let Some(sender) = sender.take() {
                sender.send(()).unwrap();
                wait_until(deadline(SHORT), pending::<()>());
            }
            poll
        });
        assert_eq!(wait_until(deadline(Duration::from_secs(20)), outer), Some(Ok(())));
    }

    #[tokio::test]
    async fn wait_in_task_exceeds_coop_budget() {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = thread::spawn(move || {
            for number in 0..10_000 {
                sender.blocking_send(number).unwrap();
            }
        });
        for number in 0..10_000 {
            assert_eq!(wait(receiver.recv()), Some(number));
        }
        sending.join().unwrap();
    }
}
