//! What a process uses.

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::Failure;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    pub descriptors: usize,
    pub tasks: usize,
    /// In bytes.
    pub resident: usize,
}

impl Usage {
    pub fn now() -> Result<Self, Failure> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: usize = line.split_whitespace().next().ok_or("no VmRSS")?.parse()?;
        Ok(Self {
            // One of them is that of the directory.
            descriptors: std::fs::read_dir("/proc/self/fd")?.count(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            resident: kib * 1024,
        })
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
