//! The mode and the group of a socket file, which decide who may connect.

use std::path::Path;

use super::held::Held;
use crate::error::ListenError;

/// The permissions that a socket file gets before any client can connect.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    /// The id of the group.
    pub(crate) group: Option<u32>,
}

impl Access {
    /// Gives the permissions to a socket file that was just made: never by its path, which may lead elsewhere by now.
    pub(super) fn apply(&self, made: &Held, path: &Path) -> Result<(), ListenError> {
        if let Some(group) = self.group {
            made.set_group(group).map_err(|cause| ListenError::Group {
                path: path.to_owned(),
                group: group.to_string(),
                cause: Some(cause),
            })?;
        }
        let failed =
            |made, cause| ListenError::Mode { path: path.to_owned(), mode: self.mode & 0o777, made, cause };
        let io = |cause| ListenError::Io { path: path.to_owned(), action: "look at the socket file", cause };
        let mode = made.mode().map_err(io)?;
        if mode != self.mode & 0o777 {
            // The umask cleared bits, or this system ignores the mode of an unbound socket.
            made.set_mode(self.mode).map_err(|cause| failed(mode, cause))?;
        }
        Ok(())
    }
}
