//! The path: who may bind it, what is reclaimed, and what goes away at the end.
//!
//! Beside the socket `path` stands `path.lock`, which a server holds locked (`flock(2)`) for its life. Two
//! servers of this library never both listen on a path; a program that knows nothing of the lock can still
//! displace one, as POSIX has no way to remove a file only if it is a certain one.
//!
//! After the bind a path may lead elsewhere, where others may write to the directory: what is done to the socket file is done
//! through a descriptor. Two things can only be done by path, and say so where they are: to look whether clients still find
//! the file, and to remove it.

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
use held::{Held, Identity, no_socket};
pub(crate) use held::{Instead, Look, Theirs};
use lock::Lock;
pub(crate) use reclaim::{Dead, probe};

use crate::error::ListenError;

/// `sockaddr_un` has room for this many bytes of path beside the NUL that ends it (`unix(7)`; `unix(4)` on
/// the BSDs).
pub(crate) const MAX_PATH_LEN: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// A path that is bound, its lock held. What is dropped is removed, in the process that bound it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// Absolute: the process may change its directory.
    path: PathBuf,
    access: Access,
    /// The socket keeps the file as long as it is open, so that no other has its number.
    bound: Option<Identity>,
    /// Held as long as the file is.
    lock: Lock,
    /// The process that bound it: a forked child has a copy of this, and the file is not the child's to remove.
    process: u32,
}

/// Says what is wrong with a path for a socket, if anything is.
pub(crate) fn refuse_path(path: &Path) -> Option<String> {
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

/// Takes `path` and listens on it. A dead socket there is reclaimed; anything else is left alone.
pub(crate) async fn bind(path: &Path, access: Access) -> Result<(UnixListener, SocketFile), ListenError> {
    if let Some(reason) = refuse_path(path) {
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

    /// Looks whether clients still find the socket.
    pub(crate) fn look(&self) -> io::Result<Look> {
        held::look(&self.path, self.bound)
    }

    /// Holds the lock that others find, also where its file was removed or another directory has come before it. Says whether
    /// it had to be taken anew.
    pub(crate) fn lock_again(&mut self) -> Result<bool, ListenError> {
        if let Some(reason) = refuse_path(&self.path) {
            return Err(ListenError::InvalidPath { path: self.path.clone(), reason });
        }
        let anew = !self.lock.is_in_place();
        if anew {
            self.lock = Lock::take(&self.path, &self.path)?;
        }
        Ok(anew)
    }

    /// Listens once more, after the socket file has gone. The lock has to be held.
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
        // Before the file exists, so that it never has others. The umask still clears bits of it, and some
        // systems refuse: what is not right then is put right below, before anybody can connect.
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
        // Undone while the socket is open: until then no other file has the number of this one.
        self.access.apply(&made, path).inspect_err(|_| self.remove_or_warn())?;
        // Only now can anybody connect.
        socket.listen(BACKLOG).map_err(io("listen on the socket"))
    }

    /// Removes the file, unless it has become somebody else's. The lock stays.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        if self.process != std::process::id() {
            return Ok(());
        }
        let Some(bound) = self.bound.take() else { return Ok(()) };
        match held::look(&self.path, Some(bound))? {
            // By path, as POSIX removes no file in another way; who may write to the directory can replace it in between.
            Look::InPlace => fs::remove_file(&self.path),
            Look::Gone(instead) if instead.is_nothing() => Ok(()),
            Look::Gone(_) => {
                tracing::warn!(path = %self.path.display(), "the socket file has become somebody else's; left alone");
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

/// The file that a bind has just made at `path`; `None` if what is there can't be it.
///
/// By path, since nothing else leads to it: the socket itself is another file. Who may write to the directory can have put
/// something in its place. What passes for it is a socket of this user that nobody listens on, so that nothing which is not
/// this user's, and no live server, is given another mode or taken for ours.
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

/// Whether only this user, and the superuser, may write to the directory of a path: then nobody else puts anything in the
/// place of what was looked at, nor holds a lock against it.
fn only_ours_to_write(path: &Path) -> io::Result<bool> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    // By path: the directory is what the file is made in next, by path as well.
    let directory = fs::metadata(directory.unwrap_or(Path::new(".")))?;
    // The bits of the group are also the most that an access control list gives.
    Ok(directory.uid() == user() && directory.mode() & 0o022 == 0)
}
