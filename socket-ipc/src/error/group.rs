//! Why a client did not join a group.

use crate::client_id::ClientId;

/// Why a client did not join a group. It stays in the groups that it is in.
///
/// ```
/// use socket_ipc::{ClientId, GroupError, ServerHandle};
///
/// fn enter(server: &ServerHandle, room: &str, client_id: ClientId) {
///     match server.group(room).join(client_id) {
///         Ok(true) => println!("{client_id} is in {room}"),
///         Ok(false) => println!("{client_id} has gone"),
///         Err(GroupError::TooManyGroups { limit, .. }) => println!("{client_id} is in {limit} rooms already"),
///         Err(error) => println!("{error}"),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The client is in as many groups as a client may be in.
    #[error(
        "client {client_id} can't join the group `{}`: it is in {limit} groups, the limit; remove it from one first",
        group.escape_debug()
    )]
    TooManyGroups {
        /// The name of the group.
        group: String,
        /// The client.
        client_id: ClientId,
        /// [`limits::MAX_GROUPS`](crate::limits::MAX_GROUPS).
        limit: usize,
    },
    /// The name of the group is too long.
    #[error(
        "client {client_id} can't join the group `{}…`: the name takes {size} bytes, over the limit of {limit}; shorten it",
        group.escape_debug()
    )]
    NameTooLong {
        /// The name of the group, truncated at the limit.
        group: String,
        /// The client.
        client_id: ClientId,
        /// The length of the name, in bytes.
        size: usize,
        /// [`limits::GROUP_NAME_LEN`](crate::limits::GROUP_NAME_LEN), in bytes.
        limit: usize,
    },
}
