//! How a peer that reads slowly is treated.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of a peer that has kept others waiting. One that never did has none of it.
///
/// Paced broadcasts wait for a peer for `write_stall` in all. It earns the time back by what it takes: all of it with as
/// much as its outbox may hold. A peer that has used its time up is not waited for until its outbox is below the
/// high-water mark again: what it gets meanwhile is queued as `broadcast` does it. So one that reads at a fair rate is
/// waited for as long as it takes, and one that trickles holds nobody up again and again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when its stream takes no more, without its outbox being below the high-water mark in between.
    behind_since: Option<Instant>,
    /// How long paced broadcasts have waited for it, less what it has earned back.
    waited: Duration,
    /// Up to when that is counted: several broadcasts may wait at once.
    counted_to: Option<Instant>,
    /// How many bytes had been handed to the kernel then.
    handed: u64,
    /// It is not waited for.
    left_behind: bool,
}

/// What a peer may take up of the time of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For how long, in all.
    pub(crate) time: Duration,
    /// How many bytes it has to take to earn that back.
    pub(crate) price: usize,
}

impl Pace {
    /// Its stream takes no more.
    pub(super) fn blocked(&mut self, now: Instant) {
        self.behind_since.get_or_insert(now);
    }

    /// Its outbox is below the high-water mark.
    pub(super) fn caught_up(&mut self) {
        self.behind_since = None;
        self.left_behind = false;
    }

    /// Whether it has been behind for so long.
    pub(super) fn is_behind(&self, now: Instant, time: Duration) -> bool {
        self.behind_since.is_some_and(|since| now.saturating_duration_since(since) >= time)
    }

    /// How much longer paced broadcasts wait for it; `None` is not at all. `handed` is what it has taken since it
    /// connected.
    pub(super) fn patience(&mut self, patience: Patience, handed: u64) -> Option<Duration> {
        let taken = (handed - self.handed) as f64 / patience.price as f64;
        let earned =
            Duration::try_from_secs_f64(patience.time.as_secs_f64() * taken).unwrap_or(Duration::MAX);
        self.waited = self.waited.saturating_sub(earned);
        self.handed = handed;
        let left = patience.time.saturating_sub(self.waited);
        self.left_behind |= left.is_zero();
        (!self.left_behind).then_some(left)
    }

    /// Counts that a paced broadcast has waited for it.
    pub(super) fn was_waited_for(&mut self, from: Instant, to: Instant) {
        let from = self.counted_to.map_or(from, |counted| counted.max(from));
        self.waited = self.waited.saturating_add(to.saturating_duration_since(from));
        self.counted_to = Some(to.max(from));
    }

    /// Whether nobody waits for it.
    pub(super) fn is_left_behind(&self) -> bool {
        self.left_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { time: Duration::from_secs(10), price: 1000 };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pace_peer_that_trickles_is_waited_for_no_longer_than_its_patience_in_all() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.patience(PATIENCE, 0), Some(seconds(10)));
        pace.was_waited_for(start, start + seconds(8));
        pace.caught_up();
        // It has emptied its outbox, and taken little.
        assert_eq!(pace.patience(PATIENCE, 100), Some(seconds(3)));
        pace.was_waited_for(start + seconds(8), start + seconds(11));
        assert_eq!(pace.patience(PATIENCE, 100), None);
        // Until it is below the mark again, whatever it takes.
        assert_eq!(pace.patience(PATIENCE, 600), None);
        pace.caught_up();
        assert_eq!(pace.patience(PATIENCE, 600), Some(seconds(5)));
    }

    #[test]
    fn pace_peer_that_takes_enough_is_waited_for_however_often() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for round in 1..100 {
            pace.was_waited_for(now, now + seconds(1));
            now += seconds(1);
            assert_eq!(pace.patience(PATIENCE, round * 100), Some(seconds(10)));
        }
    }

    #[test]
    fn pace_time_in_which_several_broadcasts_wait_counts_once() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.was_waited_for(start, start + seconds(4));
        pace.was_waited_for(start + seconds(1), start + seconds(4));
        pace.was_waited_for(start + seconds(2), start + seconds(5));
        assert_eq!(pace.patience(PATIENCE, 0), Some(seconds(5)));
    }

    #[test]
    fn pace_limits_of_nothing_and_of_everything_pass() {
        let (time, price) = (Duration::MAX, 0);
        let mut pace = Pace::default();
        assert_eq!(pace.patience(Patience { time, price }, 0), Some(time));
        let start = Instant::now();
        pace.was_waited_for(start, start + seconds(1));
        assert_eq!(pace.patience(Patience { time, price }, 1), Some(time));
        assert_eq!(Pace::default().patience(Patience { time: Duration::ZERO, price }, 0), None);
    }
}
