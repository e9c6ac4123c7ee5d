//! Reclaims the socket of a server that has ended, and leaves any other file alone.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::net::UnixStream;

use super::held::{Held, no_socket};
use super::{only_ours_to_write, user};
use crate::error::ListenError;

/// A socket that no server listens on.
#[derive(Debug)]
pub(crate) struct Dead(Held);

/// Checks that the path is free, or holds only a dead socket, which is returned.
///
/// # Errors
///
/// Another file is there: only a socket that no server listens on may be removed.
pub(crate) async fn probe(path: &Path) -> Result<Option<Dead>, ListenError> {
    let in_use = |found: String| ListenError::AddrInUse { path: path.to_owned(), found };
    let Some(found) = look_at(path)? else { return Ok(None) };
    if let Some(found) = no_socket(found.metadata()) {
        return Err(ListenError::NotASocket { path: path.to_owned(), found });
    }
    // A refused connection alone proves nothing: a regular file refuses one, too, and so does a socket that is about to
    // listen. The check above excludes a regular file. No other server of this library is about to listen, because it
    // would hold the lock.
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Some(Dead(found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(_) => Err(in_use("a server is alive there; stop it, or choose another path".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(in_use(
            "a server is alive there, with no room for another connection; stop it, or choose another path"
                .to_owned(),
        )),
        Err(error) => {
            let user = found.metadata().uid();
            Err(in_use(format!(
                "a socket of user {user} is there that can't be probed ({error}). If no server of that user runs, it is left \
                 over and may be removed, as that user or the superuser. Otherwise stop that server, or choose another path"
            )))
        }
    }
}

impl Dead {
    /// Removes the socket from the path, unless something else has taken its place.
    pub(super) fn remove(self, path: &Path) -> Result<(), ListenError> {
        match look_at(path)? {
            None => Ok(()),
            Some(still) if self.0.is(&still) => {
                may_reclaim(still.metadata().uid(), path)?;
                // By path, because POSIX has no other way to remove a file; a user who may write to the directory can
                // replace it in between.
                fs::remove_file(path).map_err(|cause| ListenError::Io {
                    path: path.to_owned(),
                    action: "remove the abandoned socket file",
                    cause,
                })
            }
            Some(_) => Err(super::just_bound(path)),
        }
    }
}

/// Checks that the dead socket of a user may be reclaimed. A server of another user may be about to listen on it
/// without a lock.
fn may_reclaim(owner: u32, path: &Path) -> Result<(), ListenError> {
    let user = user();
    let io = |cause| ListenError::Io { path: path.to_owned(), action: "look at the directory", cause };
    if owner == user || only_ours_to_write(path).map_err(io)? {
        return Ok(());
    }
    let found = format!(
        "a socket of user {owner} is there, this process is of user {user}, and nobody listens on it: a server of user {owner} \
         has left it. It is not taken over, as not only user {user} may write to the directory. Remove it as user {owner} or \
         the superuser, or choose another path"
    );
    Err(ListenError::AddrInUse { path: path.to_owned(), found })
}

fn look_at(path: &Path) -> Result<Option<Held>, ListenError> {
    Held::at(path).map_err(|cause| ListenError::Io {
        path: path.to_owned(),
        action: "look at what is there",
        cause,
    })
}
