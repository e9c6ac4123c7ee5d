//! What was exchanged, and the promises that were broken.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// What was lost of both. A short run on a busy machine may have none of one of them.
pub const LOST: &str = "broadcasts and messages to groups told as lost, exactly";

/// What a run must have seen at least once: else it has shown nothing.
const NEEDED: [&str; 21] = [
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
    LOST,
    "messages to one client received",
    "requests replied to",
    "requests cancelled",
    "requests failed: lost",
    "requests failed: link_down",
    "streams that ended whole",
    "streams dropped",
    "requests of a client of another node replied to",
    "streams of a client of another node that ended whole",
];

#[derive(Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<String, u64>>,
    broken: Mutex<Vec<String>>,
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

    pub fn broke(&self, promise: String) {
        let mut broken = lock(&self.broken);
        // One fault may show at every client.
        if broken.len() < 40 {
            eprintln!("BROKEN: {promise}");
        }
        broken.push(promise);
    }

    /// Prints the counts, and returns how many promises were broken.
    pub fn report(&self) -> usize {
        for (name, count) in lock(&self.counts).iter() {
            println!("{count:>12}  {name}");
        }
        for name in NEEDED {
            if lock(&self.counts).get(name).is_none_or(|count| *count == 0) {
                self.broke(format!("the run has shown nothing of this: {name}"));
            }
        }
        lock(&self.broken).len()
    }
}
