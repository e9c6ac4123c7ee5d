//! Who is on the peer of a connection.

use std::fmt;

/// The process on the peer of a connection, as the kernel tells it (`SO_PEERCRED` in `unix(7)`): who it
/// was when the connection was made.
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
    /// User id of the process. One that this user namespace has no number for, as that of a process outside a container, is
    /// 65534 (`/proc/sys/kernel/overflowuid`): it may be anybody outside.
    pub uid: u32,
    /// Group id of the process; 65534 as for users.
    pub gid: u32,
    /// Process id, where the system tells it. A process of another PID namespace has none here.
    pub pid: Option<i32>,
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
        // A process that has no number in this PID namespace is 0 to the kernel.
        let pid = credentials.pid().filter(|pid| *pid > 0);
        Self { uid: credentials.uid(), gid: credentials.gid(), pid }
    }
}
