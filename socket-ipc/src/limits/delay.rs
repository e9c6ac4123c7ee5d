//! How long to wait before the next attempt.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

/// How long to wait before an attempt: a fixed time, or one drawn evenly from a range.
///
/// A range keeps many clients of one server from reconnecting at the same instant.
///
/// ```
/// use socket_ipc::Delay;
/// use std::time::Duration;
///
/// let fixed = Delay::from(Duration::from_secs(1));
/// let range = Delay::from(Duration::from_millis(100)..=Duration::from_millis(200));
/// assert_eq!(fixed.shortest(), fixed.longest());
/// assert_eq!(range.longest(), Duration::from_millis(200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    shortest: Duration,
    longest: Duration,
}

impl Delay {
    pub(crate) const fn between(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest }
    }

    /// Returns the shortest wait that may be drawn.
    #[must_use]
    pub fn shortest(self) -> Duration {
        self.shortest
    }

    /// Returns the longest wait that may be drawn.
    #[must_use]
    pub fn longest(self) -> Duration {
        self.longest
    }

    pub(crate) fn draw(self) -> Duration {
        let spread = self.longest.saturating_sub(self.shortest);
        self.shortest.saturating_add(spread.mul_f64(fastrand::f64()))
    }
}

impl From<Duration> for Delay {
    fn from(delay: Duration) -> Self {
        Self::between(delay, delay)
    }
}

impl From<Range<Duration>> for Delay {
    fn from(range: Range<Duration>) -> Self {
        // A reversed range is the same range.
        Self::between(range.start.min(range.end), range.end.max(range.start))
    }
}

impl From<RangeInclusive<Duration>> for Delay {
    fn from(range: RangeInclusive<Duration>) -> Self {
        (*range.start()..*range.end()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_drawn_lies_in_its_range() {
        let delay = Delay::from(Duration::from_millis(100)..Duration::from_millis(200));
        let drawn: Vec<_> = (0..1_000).map(|_| delay.draw()).collect();
        assert!(drawn.iter().all(|&d| d >= delay.shortest() && d <= delay.longest()));
        assert!(drawn.iter().any(|&d| d < Duration::from_millis(120)));
        assert!(drawn.iter().any(|&d| d > Duration::from_millis(180)));
    }

    #[test]
    fn delay_of_longest_duration_does_not_overflow() {
        assert_eq!(Delay::from(Duration::MAX).draw(), Duration::MAX);
        Delay::from(Duration::ZERO..Duration::MAX).draw();
    }

    #[test]
    fn delay_of_reversed_range_is_same_range() {
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(2));
        assert_eq!(Delay::from(long..short), Delay::from(short..=long));
    }
}
