//! How long a session runs before it yields to other tasks.

use std::time::Duration;

use tokio::time::Instant;

/// How many bytes of messages a session dispatches in a turn.
pub(super) const DISPATCH: usize = 64 * 1024;

/// How many bytes a session reads in a turn. The bytes of an incomplete message, or in a drain, never count as
/// dispatched.
const INTAKE: usize = 1024 * 1024;

/// How many turns in a row a session takes at most.
const IN_A_ROW: u32 = 8;

/// For how long a session begins further turns.
const FURTHER: Duration = Duration::from_millis(1);

/// What a session may still do in its turn, in bytes.
pub(super) struct Turn {
    pub(super) dispatch: usize,
    pub(super) intake: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Self { dispatch: DISPATCH, intake: INTAKE }
    }
}

impl Turn {
    pub(super) fn is_over(&self) -> bool {
        self.dispatch == 0 || self.intake == 0
    }
}

/// The turns that a session takes without yielding, where it is the only one of its endpoint and the runtime has other
/// threads. There, a yield with nothing else to run wakes another thread for nothing: tokio takes it for new work.
#[derive(Default)]
pub(super) struct FurtherTurns {
    taken: u32,
    /// Set at the end of the first turn.
    until: Option<Instant>,
}

impl FurtherTurns {
    /// Whether another turn may begin, now that one is over. However long a listener takes, there is one further turn at
    /// least, and none begins a millisecond later.
    pub(super) fn may_begin(&mut self) -> bool {
        let now = Instant::now();
        self.taken += 1;
        self.taken < IN_A_ROW && now < *self.until.get_or_insert(now + FURTHER)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn further_turns_end_with_their_number() {
        let mut further = FurtherTurns::default();
        assert_eq!((0..100).take_while(|_| further.may_begin()).count(), 7);
        assert!(!further.may_begin());
    }

    #[tokio::test(start_paused = true)]
    async fn further_turns_end_with_their_time() {
        let mut further = FurtherTurns::default();
        // However long the first one took.
        assert!(further.may_begin());
        advance(FURTHER / 2).await;
        assert!(further.may_begin());
        advance(FURTHER / 2).await;
        assert!(!further.may_begin());
    }
}
