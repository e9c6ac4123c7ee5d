//! A handle to a group: adds, removes and lists its members.

use std::fmt;
use std::sync::Arc;

use super::super::handle::ServerHandle;
use super::members::Members;
use super::name::GroupName;
use crate::client_id::ClientId;
use crate::error::GroupError;
use crate::topic::direction::AnyTopic;

/// A group of a server's clients, by its name: a room, a team, the viewers of a page.
///
/// What [`ServerHandle::group`] returns. It is a name and not the group itself: a group exists while it has members,
/// takes no memory without them, and every handle of one name is to the same group. A client that is connected can join
/// it, and leaves all its groups with its connection. Cheap to clone, and usable from any thread, with or without a
/// runtime.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "enter"]
/// struct Enter { room: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News { text: String }
///
/// let server = Server::new("/tmp/myApp.sock");
/// let rooms = server.handle();
/// server.on::<Enter>(move |msg, client_id| {
///     let room = rooms.group(&msg.room);
///     // A name that is too long, or a client in too many rooms, is an error that says so.
///     if let Err(error) = room.join(client_id) {
///         return eprintln!("{error}");
///     }
///     let news = News { text: format!("client {client_id} is here") };
///     if let Err(error) = room.broadcast_except(&news, client_id) {
///         eprintln!("{error}");
///     }
/// });
/// ```
///
/// The chapter [groups](crate::guide::groups) has more.
pub struct ClientGroup<P = AnyTopic> {
    pub(super) server: ServerHandle<P>,
    pub(super) name: GroupName,
}

impl<P> ServerHandle<P> {
    /// Returns the group of this name. Every name of at most
    /// [`limits::GROUP_NAME_LEN`](crate::limits::GROUP_NAME_LEN) (256) bytes is that of a group, which has no members
    /// until a client joins it. A longer one is the name of no group: joining it is an error.
    ///
    /// ```
    /// use socket_ipc::Server;
    ///
    /// let server = Server::new("/tmp/myApp.sock");
    /// let room = server.group("room 5");
    /// server.on_connection(move |client_id| {
    ///     if let Err(error) = room.join(client_id) {
    ///         eprintln!("{error}");
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn group(&self, name: impl AsRef<str>) -> ClientGroup<P> {
        ClientGroup { server: self.clone(), name: GroupName::new(name.as_ref()) }
    }
}

/// # Members
impl<P> ClientGroup<P> {
    /// Returns the name of the group. One that is over the limit is cut there.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Adds a client to the group, and says whether it is a member now: `false` is a client that is not connected, or
    /// no longer. A client that is a member already stays one.
    ///
    /// Where the connection ends at the same time, the client is a member for that moment or not at all. Nothing of it
    /// stays in the group.
    ///
    /// On a server that has joined a cluster, what other nodes broadcast to the group reaches its first member on this server
    /// a moment later: `ClusterGroup::subscribed` waits for that.
    ///
    /// # Errors
    ///
    /// [`GroupError`]: `NameTooLong`, or `TooManyGroups` for a client that is in
    /// [`limits::MAX_GROUPS`](crate::limits::MAX_GROUPS) (1024) other groups. The client has not joined then.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::{GroupError, Server};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new("in memory");
    /// let (ours, _theirs) = tokio::io::duplex(1024);
    /// let client_id = server.serve_connection(ours)?.expect("the server is not closed");
    /// let room = server.group("room 5");
    /// assert!(room.join(client_id)?);
    /// assert_eq!(room.members(), [client_id]);
    ///
    /// let error = server.group("x".repeat(300)).join(client_id).unwrap_err();
    /// assert!(matches!(error, GroupError::NameTooLong { size: 300, limit: 256, .. }));
    /// # Ok(()) }
    /// ```
    pub fn join(&self, client_id: ClientId) -> Result<bool, GroupError> {
        let state = &self.server.state;
        match state.clients.get(client_id) {
            Some(client) => state.groups.join(&self.name, client_id, &client),
            None if self.name.valid().is_none() => Err(self.name.too_long(client_id)),
            None => Ok(false),
        }
    }

    /// Removes a client from the group, and says whether it was a member.
    ///
    /// What was broadcast to the group before is still delivered to the client.
    pub fn leave(&self, client_id: ClientId) -> bool {
        let state = &self.server.state;
        let client = state.clients.get(client_id);
        client.is_some_and(|client| state.groups.leave(&self.name, client_id, &client))
    }

    /// Whether a client is a member.
    #[must_use]
    pub fn contains(&self, client_id: ClientId) -> bool {
        self.recipients().clients().get(client_id).is_some()
    }

    /// Returns the members, in the order in which they connected.
    #[must_use]
    pub fn members(&self) -> Vec<ClientId> {
        let mut members = Vec::new();
        self.recipients().clients().for_each(|id, _| members.push(id));
        members.sort_unstable();
        members
    }

    /// Returns how many members the group has.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut members = 0;
        self.recipients().clients().for_each(|_, _| members += 1);
        members
    }

    /// Whether the group has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members at this moment.
    pub(super) fn recipients(&self) -> Arc<Members> {
        self.server.state.groups.members(&self.name)
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for ClientGroup<P> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), name: self.name.clone() }
    }
}

impl<P> fmt::Debug for ClientGroup<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientGroup").field("name", &self.name()).finish_non_exhaustive()
    }
}
