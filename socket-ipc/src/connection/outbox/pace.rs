//! How long paced broadcasts wait for a slow consumer.

use std::time::Duration;

use tokio::time::Instant;

/// The record of a peer that has made others wait. Other peers have none.
///
/// Paced broadcasts wait for a peer for `write_stall` in all. The peer earns time back by the bytes that it takes: as
/// many bytes as its outbox may hold earn all of the time. Once a peer has used up its time, no paced broadcast waits
/// for it until its outbox is below the high-water mark again; meanwhile paced broadcasts are queued for it as by
/// `broadcast`. So paced broadcasts always wait for a peer that reads at a fair rate, and a peer that takes only a
/// trickle does not delay the others again and again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when its stream has been full, with its outbox never below the high-water mark in between.
    behind_since: Option<Instant>,
    /// How long paced broadcasts have waited for it, less the time earned back.
    waited: Duration,
    /// Until when `waited` is counted: several broadcasts may wait at once.
    counted_to: Option<Instant>,
    /// How many bytes had been handed to the kernel at the last call of `patience`.
    handed: u64,
    /// Paced broadcasts do not wait for it.
    left_behind: bool,
}

/// How long others wait for a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The time in all.
    pub(crate) time: Duration,
    /// How many bytes the peer has to take to earn that time back.
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

    /// Whether it has been behind for at least `time`.
    pub(super) fn is_behind(&self, now: Instant, time: Duration) -> bool {
        self.behind_since.is_some_and(|since| now.saturating_duration_since(since) >= time)
    }

    /// How much longer paced broadcasts wait for it; `None` is not at all. `handed` is the number of bytes that it has
    /// taken since it connected.
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

    /// Whether paced broadcasts do not wait for it.
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
    fn pace_trickling_peer_uses_up_patience() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.patience(PATIENCE, 0), Some(seconds(10)));
        pace.was_waited_for(start, start + seconds(8));
        pace.caught_up();
        // It has emptied its outbox, and taken little.
        assert_eq!(pace.patience(PATIENCE, 100), Some(seconds(3)));
        pace.was_waited_for(start + seconds(8), start + seconds(11));
        assert_eq!(pace.patience(PATIENCE, 100), None);
        assert_eq!(pace.patience(PATIENCE, 100), None);
        // Until it is below the high-water mark again, however much it takes.
        assert_eq!(pace.patience(PATIENCE, 600), None);
        pace.caught_up();
        assert_eq!(pace.patience(PATIENCE, 600), Some(seconds(5)));
    }

    #[test]
    fn pace_fair_peer_keeps_patience() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for round in 1..100 {
            pace.was_waited_for(now, now + seconds(1));
            now += seconds(1);
            assert_eq!(pace.patience(PATIENCE, round * 100), Some(seconds(10)));
        }
    }

    #[test]
    fn pace_concurrent_waits_count_once() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.was_waited_for(start, start + seconds(4));
        pace.was_waited_for(start + seconds(1), start + seconds(4));
        pace.was_waited_for(start + seconds(2), start + seconds(5));
        assert_eq!(pace.patience(PATIENCE, 0), Some(seconds(5)));
    }

    #[test]
    fn pace_extreme_limits_do_not_panic() {
        let (time, price) = (Duration::MAX, 0);
        let mut pace = Pace::default();
        assert_eq!(pace.patience(Patience { time, price }, 0), Some(time));
        let start = Instant::now();
        pace.was_waited_for(start, start + seconds(1));
        assert_eq!(pace.patience(Patience { time, price }, 1), Some(time));
        assert_eq!(Pace::default().patience(Patience { time: Duration::ZERO, price }, 0), None);
    }
}
