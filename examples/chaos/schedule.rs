//! The faults, as the seed deals them.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// How many nodes there are. The first one is stopped, but never killed: it lives through the run.
pub const NODES: usize = 3;

/// How many faults a round has.
const FAULTS: usize = 3;

/// When the last fault of a round begins, in milliseconds.
const LATEST: u64 = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Nats,
    Node(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// SIGKILL, and a start after the time.
    Kill,
    /// SIGSTOP, and SIGCONT after the time.
    Stop,
    /// A node says goodbye and ends, and starts after the time.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub target: Target,
    pub what: What,
    /// When it begins, from the beginning of the round.
    pub at: Duration,
    pub lasts: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, what, at, lasts } = self;
        write!(f, "{what:?} {target:?} at {at:?} for {lasts:?}")
    }
}

/// Deals faults: of each six one of each kind, in a random order.
pub struct Schedule {
    rng: Rng,
    deck: VecDeque<(What, Target)>,
}

impl Schedule {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), deck: VecDeque::new() }
    }

    /// The faults of the next round, each of another process.
    pub fn round(&mut self) -> Vec<Fault> {
        let (mut faults, mut later) = (Vec::<Fault>::new(), Vec::new());
        while faults.len() < FAULTS {
            let (what, target) = self.deal();
            if faults.iter().any(|fault| fault.target == target) {
                later.push((what, target));
                continue;
            }
            let longest = if what == What::Stop { 5_000 } else { 2_000 };
            let at = Duration::from_millis(self.rng.u64(..LATEST));
            let lasts = Duration::from_millis(self.rng.u64(100..longest));
            faults.push(Fault { target, what, at, lasts });
        }
        later.into_iter().for_each(|card| self.deck.push_front(card));
        faults
    }

    fn deal(&mut self) -> (What, Target) {
        if let Some(card) = self.deck.pop_front() {
            return card;
        }
        let other = |rng: &mut Rng| Target::Node(rng.usize(1..NODES));
        let mut cards = [
            (What::Stop, Target::Node(0)),
            (What::Stop, other(&mut self.rng)),
            (What::Kill, other(&mut self.rng)),
            (What::Leave, other(&mut self.rng)),
            (What::Stop, Target::Nats),
            (What::Kill, Target::Nats),
        ];
        self.rng.shuffle(&mut cards);
        self.deck.extend(cards);
        self.deal()
    }
}
