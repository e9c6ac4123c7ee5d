//! The limits of groups.

/// How many groups a client may be in at once.
///
/// ```
/// println!("a client is in at most {} groups", socket_ipc::limits::MAX_GROUPS);
/// ```
pub const MAX_GROUPS: usize = 1024;
/// The longest name of a group, in bytes.
///
/// ```
/// println!("the name of a group takes at most {} bytes", socket_ipc::limits::GROUP_NAME_LEN);
/// ```
pub const GROUP_NAME_LEN: usize = 256;
/// How many groups the statistics of a server name, where
/// [`describe_groups`](crate::ServerBuilder::describe_groups) is set.
///
/// ```
/// println!("at most {} groups are named", socket_ipc::limits::DESCRIBED_GROUPS);
/// ```
pub const DESCRIBED_GROUPS: usize = 100;
