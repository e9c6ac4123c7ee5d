//! Groups of users.

use std::fmt;
use std::io;

/// A group of users, by its number or its name.
///
/// A name is looked up in the system's group database when the server begins to listen.
///
/// ```
/// use socket_ipc::Group;
///
/// assert_eq!(Group::from("docker").to_string(), "docker");
/// assert_eq!(Group::from(998).to_string(), "998");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group(Given);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Given {
    Id(u32),
    Name(String),
}

impl From<u32> for Group {
    fn from(id: u32) -> Self {
        Self(Given::Id(id))
    }
}

impl From<&str> for Group {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<String> for Group {
    fn from(name: String) -> Self {
        Self(Given::Name(name))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Given::Id(id) => id.fmt(f),
            Given::Name(name) => name.fmt(f),
        }
    }
}

impl Group {
    /// Its number; `None` where the system knows no group of this name.
    pub(crate) async fn id(&self) -> io::Result<Option<u32>> {
        let name = match &self.0 {
            Given::Id(id) => return Ok(Some(*id)),
            Given::Name(name) => name.clone(),
        };
        // The group database may be on the network, so the lookup may block.
        let look_up = move || nix::unistd::Group::from_name(&name);
        let found = tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)??;
        Ok(found.map(|group| group.gid.as_raw()))
    }
}

/// Whether a user is now in one of these groups, by the system's user and group databases. The lookup may block.
pub(crate) fn is_member(user: u32, groups: &[u32]) -> bool {
    use nix::unistd::{Gid, Group, Uid, User};

    // A user that the database does not know is in no group.
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(user)) else { return false };
    groups.iter().any(|group| {
        let group = Gid::from_raw(*group);
        user.gid == group
            || Group::from_gid(group).ok().flatten().is_some_and(|group| group.mem.contains(&user.name))
    })
}
