//! What a process uses.

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    pub descriptors: usize,
    pub tasks: usize,
    /// In bytes.
    pub resident: usize,
}

impl Usage {
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: usize =
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Self {
            // One of them is that of the directory.
            descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            tasks: Handle::current().metrics().num_alive_tasks(),
            resident: kib * 1024,
        }
    }

    /// What of it is more than before, and more than these tasks.
    pub fn leaked_since(&self, before: &Self, tasks: usize) -> Option<String> {
        let has_leaked = self.descriptors > before.descriptors || self.tasks > before.tasks + tasks;
        has_leaked.then(|| {
            format!(
                "{} descriptors, {} tasks; before {} and {}",
                self.descriptors, self.tasks, before.descriptors, before.tasks
            )
        })
    }
}
