//! Waiting for a future on a thread that does nothing else meanwhile.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::task::unconstrained;

use crate::sync::lock;

/// Waits for `future`, as long as it takes.
///
/// It needs no runtime and minds none: it may be called on a thread that is one's.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    // Not the thread's own `park`: a `Serialize` that waits, too, would take the token that is meant for this call.
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut cx = Context::from_waker(&waker);
    // A task of tokio has a budget, which only grows again once the task yields, and this one does not.
    let mut future = pin!(unconstrained(future));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}

/// Waits for `future` until `deadline`, and looks at it at least once; `None` is a deadline that never comes.
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
        // Not looked at again without having been woken: that would make a lost wake-up a long wait, which nobody notices.
        if left.is_zero() || !sleeper.sleep_for(left) {
            return None;
        }
    }
}

/// The time `timeout` from now; `None` where that is too far away to be told.
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
    fn what_is_ready_is_returned_and_what_becomes_so_is_waited_for() {
        assert_eq!(wait(ready(1)), 1);
        assert_eq!(wait_until(None, ready(1)), Some(1));
        let (sender, receiver) = oneshot::channel();
        let waiting = thread::spawn(move || wait(receiver));
        sender.send(2).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(2));
    }

    #[test]
    fn the_deadline_ends_a_wait_that_is_woken_all_the_time() {
        assert_eq!(wait_until(deadline(Duration::ZERO), ready(1)), Some(1), "it is looked at once");
        assert_eq!(wait_until(deadline(Duration::ZERO), pending::<()>()), None);
        let begun = Instant::now();
        assert_eq!(wait_until(deadline(SHORT), pending::<()>()), None);
        let restless = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(wait_until(deadline(SHORT), restless), None);
        assert!(begun.elapsed() >= 2 * SHORT);
        assert_eq!(deadline(Duration::MAX), None);
    }

    #[test]
    fn wait_whose_wake_up_is_lost_ends_at_its_deadline_without_a_result() {
        let mut polls = 0;
        let lost = poll_fn(|_| {
            polls += 1;
            if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
        });
        assert_eq!(wait_until(deadline(SHORT), lost), None);
    }

    #[test]
    fn a_wait_within_a_wait_takes_no_wake_of_the_outer_one() {
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
    async fn a_task_may_wait_more_often_than_its_budget_allows() {
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
