//! A timer for deadlines that mostly move before they are reached.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// Becomes ready at a deadline that is given anew with every poll. Its timer is made when first needed. It is not reset
/// while the deadline only moves later: then it fires early, and is set again.
#[derive(Debug, Default)]
pub(super) struct DeadlineTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl DeadlineTimer {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn deadline_timer_fires_at_deadline_of_last_poll() {
        for deadlines in [&[30, 10, 20, 10][..], &[10, 30], &[10, 20, 30], &[20, 20]] {
            let (mut timer, start) = (DeadlineTimer::default(), Instant::now());
            let after = |seconds| Some(start + Duration::from_secs(seconds));
            let (last, before) = deadlines.split_last().unwrap();
            for deadline in before {
                let early = poll_fn(|cx| Poll::Ready(timer.poll(cx, after(*deadline)))).await;
                assert!(early.is_pending(), "{deadlines:?}");
            }
            assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx, None))).await.is_pending());
            poll_fn(|cx| timer.poll(cx, after(*last))).await;
            assert_eq!(start.elapsed().as_secs(), *last, "{deadlines:?}");
        }
    }
}
