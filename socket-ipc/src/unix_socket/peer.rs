//! The process of the peer of a connection.

use std::fmt;

/// The process of the peer of a connection, as the kernel tells it (`SO_PEERCRED` in `unix(7)`): the process that made
/// the connection.
///
/// Decide by [`uid`](Self::uid), never by [`pid`](Self::pid): process ids are reused.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// let clients = server.handle();
/// server.on_connection(move |client_id| {
///     if let Some(peer) = clients.peer(client_id) {
///         println!("client {client_id} is {peer}");
///     }
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// User id of the process. A user without an id in this user namespace, such as one outside the container, is 65534
    /// (`/proc/sys/kernel/overflowuid`): it may be any user outside.
    pub uid: u32,
    /// Group id of the process; 65534 as for users.
    pub gid: u32,
    /// Process id, where the system tells it. A process of another PID namespace has none here.
    pub pid: Option<i32>,
}

impl Peer {
    /// This process, as the kernel would tell it.
    pub(crate) fn of_this_process() -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { uid, gid, pid: Some(rustix::process::getpid().as_raw_pid()) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} of user {}", self.uid),
            None => write!(f, "a process of user {}", self.uid),
        }
    }
}

impl From<tokio::net::unix::UCred> for Peer {
    fn from(credentials: tokio::net::unix::UCred) -> Self {
        // The kernel says 0 for a process without an id in this PID namespace.
        let pid = credentials.pid().filter(|pid| *pid > 0);
        Self { uid: credentials.uid(), gid: credentials.gid(), pid }
    }
}
