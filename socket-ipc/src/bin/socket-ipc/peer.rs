//! The peer of a connection, in words.

use std::fmt;

use nix::unistd::{Uid, User};
use serde::Serialize;
use tokio::net::unix::UCred;

/// The process that listens on a socket. The kernel names the process that began to listen: if a service manager bound
/// the socket, that is the manager.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// Its number, if the system tells it.
    process: Option<i32>,
    /// The name of its program, if the process still runs and may be inspected.
    program: Option<String>,
    user: u32,
    /// The name of its user, if the user has one.
    name: Option<String>,
}

impl From<UCred> for Peer {
    fn from(credentials: UCred) -> Self {
        // The kernel reports 0 for a process that has no number in this PID namespace.
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
