//! Why a server cannot listen.

use std::io;
use std::path::PathBuf;

/// Why a server cannot listen. It left the disk as it was, except that it may have removed an abandoned socket file.
///
/// ```
/// use socket_ipc::{ListenError, Server};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let server = Server::new("");
/// assert!(matches!(server.listen().await, Err(ListenError::InvalidPath { .. })));
/// # }
/// ```
///
/// [Troubleshooting](crate::guide::troubleshooting#when-listen-fails) has what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The path is not valid for a socket.
    #[error("cannot listen on {path:?}: {reason}")]
    InvalidPath {
        /// The path.
        path: PathBuf,
        /// What is wrong with it, with the lengths.
        reason: String,
    },
    /// A server is alive at the path, or one may be.
    #[error("cannot listen on {}: {found}", path.display())]
    AddrInUse {
        /// The path.
        path: PathBuf,
        /// What was found there, and what can be done about it.
        found: String,
    },
    /// The directory of the path does not exist. The server makes none.
    #[error("cannot listen on {}: the directory {} does not exist; make it, or choose another path", path.display(), directory.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
    /// Something that is not a socket is at the path; it was left alone.
    #[error("cannot listen on {}: found {found} there, which is no socket; move it, or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// What was found there.
        found: &'static str,
    },
    /// This server can't take the lock file beside the path; the file was left alone.
    #[error("cannot lock {}: {reason}", path.display())]
    Lock {
        /// The path of the lock file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket that was passed does not listen; it was left alone.
    #[error("cannot listen on {}: the socket that was passed {found}", path.display())]
    NotListening {
        /// The path.
        path: PathBuf,
        /// What the socket is, and the likely mistake.
        found: String,
    },
    /// The socket file can't get its mode. The umask of the process cleared bits of it when the file was made, and this
    /// system can't set the mode afterwards without following a link that may have replaced the file. The file was
    /// removed.
    #[error(
        "cannot listen on {}: the umask of this process made its mode {made:04o} in place of {mode:04o}, and it can't be \
         changed here ({cause}); mount /proc, or start with a umask that takes none of these bits",
        path.display()
    )]
    Mode {
        /// The path.
        path: PathBuf,
        /// The mode that was set.
        mode: u32,
        /// The mode that the file got.
        made: u32,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The socket file can't get its group, or this system does not know a group of `allow_groups`.
    #[error("cannot listen on {}: {}", path.display(), group_problem(group, cause.as_ref()))]
    Group {
        /// The path.
        path: PathBuf,
        /// The group, by name or number as it was given.
        group: String,
        /// The error of the operating system; `None` where it knows no group of this name.
        cause: Option<io::Error>,
    },
    /// `listen` was called before.
    #[error("cannot listen on {}: this server was told to listen before", path.display())]
    AlreadyListening {
        /// The path.
        path: PathBuf,
    },
    /// The server is closed. A closed server can't listen again.
    #[error("cannot listen on {}: this server is closed; make a new one", path.display())]
    Closed {
        /// The path.
        path: PathBuf,
    },
    /// An operating system call failed.
    #[error("cannot listen on {}: could not {action}: {cause}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// The error of the operating system.
        cause: io::Error,
    },
}

fn group_problem(group: &str, cause: Option<&io::Error>) -> String {
    match cause {
        Some(cause) => format!(
            "its group can't be {group} ({cause}); a process without privileges can only choose a group that it is in"
        ),
        None => format!("there is no group `{group}` on this system"),
    }
}
