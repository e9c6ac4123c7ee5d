//! What was exchanged, and the promises that were broken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// What was lost of both.
pub const LOST: &str = "broadcasts and messages to groups told as lost, exactly";

/// What a run must have seen at least once: else it has shown nothing.
const NEEDED: [&str; 18] = [
    "faults: node killed",
    "faults: node left",
    "faults: node stopped",
    "faults: nats killed",
    "faults: nats stopped",
    "broadcasts received, of the own node",
    "broadcasts received, of other nodes",
    "broadcasts compared with beats",
    "messages to groups received, of the own node",
    "messages to groups received, of other nodes",
    "messages to groups compared",
    "messages to one client received",
    "requests replied to",
    "requests cancelled",
    "streams that ended whole",
    "streams dropped",
    "requests of a client of another node replied to",
    "streams of a client of another node that ended whole",
];

/// What a run of at least [`LONG`] must have seen, too. In a short one, nothing may have been on its way when a fault came.
const NEEDED_IN_LONG_RUNS: [&str; 3] = [LOST, "requests failed: lost", "requests failed: link_down"];

/// How long a long run is.
const LONG: Duration = Duration::from_secs(3 * 60);

#[derive(Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<String, u64>>,
    broken: Mutex<Vec<String>>,
    /// Raised whenever a time without faults begins, and whenever it ends: it is odd meanwhile.
    epoch: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Tally {
    pub fn add(&self, name: &str, count: u64) {
        let mut counts = lock(&self.counts);
        match counts.get_mut(name) {
            Some(so_far) => *so_far += count,
            None => drop(counts.insert(name.to_owned(), count)),
        }
    }

    /// Everybody has found everybody, and no fault comes until [`end_calm`](Self::end_calm).
    pub fn begin_calm(&self) {
        self.epoch.fetch_or(1, Ordering::AcqRel);
    }

    pub fn end_calm(&self) {
        let epoch = self.epoch();
        self.epoch.store(epoch + epoch % 2, Ordering::Release);
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether there was no fault since the time of an epoch.
    pub fn is_calm_since(&self, epoch: u64) -> bool {
        !epoch.is_multiple_of(2) && epoch == self.epoch()
    }

    pub fn broke(&self, promise: String) {
        let mut broken = lock(&self.broken);
        // One fault may show at every client.
        if broken.len() < 40 {
            eprintln!("BROKEN: {promise}");
        }
        broken.push(promise);
    }

    /// Prints the counts, and returns how many promises a run of this length has broken.
    pub fn report(&self, length: Duration) -> usize {
        for (name, count) in lock(&self.counts).iter() {
            println!("{count:>12}  {name}");
        }
        let in_long_runs = NEEDED_IN_LONG_RUNS.iter().filter(|_| length >= LONG);
        for name in NEEDED.iter().chain(in_long_runs).copied() {
            if lock(&self.counts).get(name).is_none_or(|count| *count == 0) {
                self.broke(format!("the run has shown nothing of this: {name}"));
            }
        }
        lock(&self.broken).len()
    }
}
