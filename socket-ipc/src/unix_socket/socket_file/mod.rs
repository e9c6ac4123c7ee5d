//! The path of a socket: which server may bind it, what is reclaimed, and what is removed at the end.
//!
//! Beside the socket `path` is the file `path.lock`, which a server keeps locked (`flock(2)`) for its life. So two
//! servers of this library never both listen on a path. A program that ignores the lock can still displace a server:
//! POSIX has no call that removes a file only if it is a given one.
//!
//! Where other users may write to the directory, a path may lead elsewhere after the bind. So the socket file is
//! changed through a descriptor. Two operations are only possible by path, and a comment there says so: to check that
//! clients still find the file, and to remove it.

mod access;
mod held;
mod holder;
mod lock;
mod reclaim;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

pub(crate) use access::Access;
use held::{Held, Identity};
pub(crate) use held::{Instead, Look, PassedFile, no_socket};
use lock::Lock;
pub(crate) use reclaim::{Dead, probe};

use crate::error::ListenError;

/// How many bytes of path `sockaddr_un` has room for, beside the NUL that ends it (`unix(7)`; `unix(4)` on the BSDs).
pub(crate) const MAX_PATH_LEN: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A bound path, with its lock held. Dropping it removes the files, in the process that bound it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// Absolute: the process may change its directory.
    path: PathBuf,
    access: Access,
    /// An open socket keeps its file, so no other file has this identity meanwhile.
    bound: Option<Identity>,
    /// Held as long as the file is.
    lock: Lock,
    /// The process that bound it: a forked child has a copy of this value, and must not remove the file.
    process: u32,
}

/// Says what is wrong with a path for a socket, if anything is.
pub(crate) fn path_error(path: &Path) -> Option<String> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        Some("the path is empty".to_owned())
    } else if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        Some(format!("the path has a NUL byte at {at}; abstract sockets are not supported"))
    } else if bytes.len() > MAX_PATH_LEN {
        let len = bytes.len();
        Some(format!("the path is {len} bytes long; a socket's path has at most {MAX_PATH_LEN}"))
    } else {
        None
    }
}

/// The directory of a path, if it does not exist.
pub(crate) fn missing_directory(path: &Path) -> Option<PathBuf> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty())?;
    matches!(directory.try_exists(), Ok(false)).then(|| directory.to_owned())
}

/// Binds `path` and listens on it. A dead socket there is reclaimed; any other file is left alone.
pub(crate) async fn bind(path: &Path, access: Access) -> Result<(UnixListener, SocketFile), ListenError> {
    if let Some(reason) = path_error(path) {
        return Err(ListenError::InvalidPath { path: path.to_owned(), reason });
    }
    let absolute = std::path::absolute(path).map_err(|cause| ListenError::Io {
        path: path.to_owned(),
        action: "find the current directory",
        cause,
    })?;
    let lock = Lock::take(path, &absolute)?;
    let dead = probe(path).await?;
    let mut file = SocketFile { path: absolute, access, bound: None, lock, process: std::process::id() };
    let listener = file.listen(path, dead)?;
    Ok((listener, file))
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that clients still find the socket.
    pub(crate) fn look(&self) -> io::Result<Look> {
        held::look(&self.path, self.bound)
    }

    /// Takes the lock again if other servers no longer find it: its file was removed, or another directory hides it.
    /// Says whether it was taken again.
    pub(crate) fn lock_again(&mut self) -> Result<bool, ListenError> {
        if let Some(reason) = path_error(&self.path) {
            return Err(ListenError::InvalidPath { path: self.path.clone(), reason });
        }
        let anew = !self.lock.is_in_place();
        if anew {
            self.lock = Lock::take(&self.path, &self.path)?;
        }
        Ok(anew)
    }

    /// Listens again after the socket file was lost. The lock has to be held.
    pub(crate) fn listen_again(&mut self, dead: Option<Dead>) -> Result<UnixListener, ListenError> {
        let path = self.path.clone();
        self.listen(&path, dead).inspect_err(|_| self.remove_or_warn())
    }

    /// Binds the path, in the place of a dead socket if there is one.
    fn listen(&mut self, path: &Path, dead: Option<Dead>) -> Result<UnixListener, ListenError> {
        let io = |action| move |cause| ListenError::Io { path: path.to_owned(), action, cause };
        if let Some(dead) = dead {
            dead.remove(path)?;
        }
        let socket = UnixSocket::new_stream().map_err(io("make a socket"))?;
        // The mode is set before the file exists, so that the file never has another one. The umask still clears bits,
        // and some systems refuse: the mode is corrected below, before any client can connect.
        let as_file = File::from(socket.as_fd().try_clone_to_owned().map_err(io("make a socket"))?);
        let _ = as_file.set_permissions(Permissions::from_mode(self.access.mode));
        drop(as_file);
        self.bound = None;
        socket.bind(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::AddrInUse => just_bound(path),
            _ => io("bind the socket")(cause),
        })?;
        let made = made_at(path).map_err(io("look at the socket file"))?.ok_or_else(|| just_bound(path))?;
        self.bound = Some(made.identity());
        // After a failure the file is removed while the socket is open, so that no other file has its identity.
        self.access.apply(&made, path).inspect_err(|_| self.remove_or_warn())?;
        // Only now can clients connect.
        socket.listen(BACKLOG).map_err(io("listen on the socket"))
    }

    /// Removes the file, unless another file has replaced it. The lock stays.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        if self.process != std::process::id() {
            return Ok(());
        }
        let Some(bound) = self.bound.take() else { return Ok(()) };
        match held::look(&self.path, Some(bound))? {
            // By path, because POSIX has no other way to remove a file; a user who may write to the directory can
            // replace it in between.
            Look::InPlace => fs::remove_file(&self.path),
            Look::Gone(instead) if instead.is_nothing() => Ok(()),
            Look::Gone(_) => {
                tracing::warn!(path = %self.path.display(), "another file has replaced the socket file; left alone");
                Ok(())
            }
        }
    }

    fn remove_or_warn(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(path = %self.path.display(), %error, "the socket file could not be removed");
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove_or_warn();
    }
}

/// The file that a bind has just made at `path`; `None` if the file there can't be it.
///
/// By path, because nothing else leads to it: the socket itself is another file. A user who may write to the directory
/// may have replaced it. Only a socket of this user that no server listens on is accepted. So no file of another user,
/// and no live server, gets another mode or counts as this server's.
fn made_at(path: &Path) -> io::Result<Option<Held>> {
    let Some(made) = Held::at(path)? else { return Ok(None) };
    let ours = no_socket(made.metadata()).is_none() && made.metadata().uid() == user() && !made.is_alive()?;
    Ok(ours.then_some(made))
}

fn just_bound(path: &Path) -> ListenError {
    let found = "another program has just bound it; stop it, or choose another path".to_owned();
    ListenError::AddrInUse { path: path.to_owned(), found }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether only this user and the superuser may write to the directory of a path. Then no other user can replace a file
/// there after a check, or lock it.
fn only_ours_to_write(path: &Path) -> io::Result<bool> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    // By path, because the file is made in the directory by path as well.
    let directory = fs::metadata(directory.unwrap_or(Path::new(".")))?;
    // With an access control list, the group bits are the most that it grants.
    Ok(directory.uid() == user() && directory.mode() & 0o022 == 0)
}
