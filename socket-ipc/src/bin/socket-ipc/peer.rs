//! The peer of a connection, in words.

use std::fmt;

use nix::unistd::{Uid, User};
use serde::Serialize;
use tokio::net::unix::UCred;

/// The process that listens on a socket, as the kernel tells it: who it was when it began to. Where a service manager
/// has bound the socket, that is the manager.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// Where the system tells it.
    process: Option<i32>,
    /// The program of that process, where it is still there and may be looked at.
    program: Option<String>,
    user: u32,
    /// The name of the user, where there is one.
    name: Option<String>,
}

impl From<UCred> for Peer {
    fn from(credentials: UCred) -> Self {
        // A process that has no number in this PID namespace is 0 to the kernel.
        let (process, user) = (credentials.pid().filter(|pid| *pid > 0), credentials.uid());
        let program = process.and_then(|process| {
            std::fs::read_to_string(format!("/proc/{process}/comm"))
                .ok()
                .map(|name| name.trim_end().to_owned())
        });
        let name = User::from_uid(Uid::from_raw(user)).ok().flatten().map(|user| user.name);
        Self { process, program, user, name }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(process) = self.process {
            write!(f, "process {process}")?;
            if let Some(program) = &self.program {
                write!(f, " ({program})")?;
            }
            f.write_str(" of ")?;
        }
        write!(f, "user {}", self.user)?;
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}
