//! What the statistics of a server say of its groups.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use super::super::builder::ServerBuilder;
use super::Groups;
use crate::limits::DESCRIBED_GROUPS;
use crate::metrics::stats::{GroupStats, Stats};
use crate::sync::read;

/// # Describing itself
impl<P> ServerBuilder<P> {
    /// Makes [`stats`](crate::ServerHandle::stats) name the groups that have the most members, up to
    /// [`limits::DESCRIBED_GROUPS`](crate::limits::DESCRIBED_GROUPS) (100). Off unless set: `stats` then only has
    /// counts.
    ///
    /// With [`describe`](Self::describe_as) every client can read the statistics, and so the names. A snapshot looks at
    /// every group.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::builder("/tmp/myApp.sock").describe_groups().build();
    /// for group in server.stats().largest_groups {
    ///     println!("{}: {} members", group.name, group.members);
    /// }
    /// ```
    pub fn describe_groups(mut self) -> Self {
        self.options.describes_groups = true;
        self
    }
}

impl Groups {
    /// Adds to a snapshot what it says of the groups.
    pub(in crate::server) fn add_to(&self, stats: Stats, names: bool) -> Stats {
        Stats {
            groups: read(&self.by_name).len() as u64,
            group_members: self.memberships.load(Ordering::Relaxed),
            largest_groups: if names { self.largest() } else { Vec::new() },
            ..stats
        }
    }

    /// The groups that have the most members, and among equal ones the first by name.
    fn largest(&self) -> Vec<GroupStats> {
        let by_name = read(&self.by_name);
        let mut groups: Vec<_> =
            by_name.iter().map(|(name, members)| (Reverse(members.clients().len()), name)).collect();
        if groups.len() > DESCRIBED_GROUPS {
            groups.select_nth_unstable(DESCRIBED_GROUPS);
            groups.truncate(DESCRIBED_GROUPS);
        }
        groups.sort_unstable();
        let stats = |(Reverse(members), name): (Reverse<usize>, &std::sync::Arc<str>)| GroupStats {
            name: name.to_string(),
            members: members as u64,
        };
        groups.into_iter().map(stats).collect()
    }
}
