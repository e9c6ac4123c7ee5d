//! The lock file beside a socket.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::held::{Identity, no_socket};
use super::holder::{self, Holder};
use super::{missing_directory, only_ours_to_write, user};
use crate::error::ListenError;

/// How often to try again if the locked file is no longer at its path: each time, the server that held it has just
/// ended and removed it.
const LOCK_ATTEMPTS: u32 = 1_000;

/// The lock file beside a socket, held. Dropping it removes the file, then releases the lock.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// The lock belongs to this open file.
    file: File,
    /// The process that took it.
    process: u32,
}

impl Lock {
    /// Takes the lock of the socket at `absolute`, which the user named `socket`. A held lock means a live server, so
    /// no connection is made to find out.
    pub(super) fn take(socket: &Path, absolute: &Path) -> Result<Self, ListenError> {
        let attempt = Attempt { socket, path: path_of(absolute) };
        let mut reclaimed = false;
        for _ in 0..LOCK_ATTEMPTS {
            let file = attempt.open()?;
            let opened = file.metadata().map_err(|cause| attempt.io(cause))?;
            if !opened.is_file() {
                return Err(attempt.error("not a regular file".to_owned()));
            }
            let locked = attempt.lock(&file, &opened)?;
            if opened.uid() != user() {
                if !locked {
                    return Err(
                        attempt.perhaps_left_over(&opened, "whether a process holds it can't be told")
                    );
                }
                if std::mem::replace(&mut reclaimed, true) {
                    return Err(attempt.not_ours(&opened));
                }
                // No other process holds it, or the lock could not have been taken.
                attempt.may_reclaim(&opened)?;
                tracing::warn!(path = %attempt.path.display(), user = opened.uid(), "reclaimed what a server of another user left");
                // The file is removed while its lock is held, as at the end of a server.
                attempt.remove(&opened)?;
                continue;
            }
            let lock = Self { path: attempt.path.clone(), file, process: std::process::id() };
            // The server that held it may have removed the file meanwhile: then this lock guards nothing.
            if lock.is_in_place() {
                return Ok(lock);
            }
        }
        Err(attempt.error(format!("it was replaced each of the {LOCK_ATTEMPTS} times it was locked")))
    }

    /// Whether the held file is the one at its path. By path, because other servers open it by path.
    pub(super) fn is_in_place(&self) -> bool {
        let identity = |metadata: io::Result<Metadata>| metadata.ok().map(|metadata| Identity::of(&metadata));
        let held = identity(self.file.metadata());
        held.is_some() && held == identity(fs::symlink_metadata(&self.path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A forked child has a copy of the parent's open file. Closing the copy does not unlock: the lock is released
        // with the last copy, or explicitly, which nothing here does.
        if self.process != std::process::id() {
            return;
        }
        // The file is removed while its lock is held: a server that has already opened it sees, once it has the lock,
        // that the file is gone. By path, because POSIX has no other way to remove a file; a user who may write to the
        // directory can replace it in between.
        if self.is_in_place()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the lock file could not be removed");
        }
    }
}

/// The lock file of a socket.
pub(super) fn path_of(absolute: &Path) -> PathBuf {
    let mut path = absolute.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// An attempt to take one lock.
struct Attempt<'s> {
    /// The socket, as the user named it.
    socket: &'s Path,
    path: PathBuf,
}

impl Attempt<'_> {
    fn io(&self, cause: io::Error) -> ListenError {
        if cause.kind() == io::ErrorKind::NotFound
            && let Some(directory) = missing_directory(self.socket)
        {
            return ListenError::NoDirectory { path: self.socket.to_owned(), directory };
        }
        ListenError::Io { path: self.socket.to_owned(), action: "open its lock file", cause }
    }

    fn error(&self, reason: String) -> ListenError {
        ListenError::Lock { path: self.path.clone(), reason }
    }

    fn open(&self) -> Result<File, ListenError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A FIFO in its place must not block, and a link must not be followed.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            // By path, because other servers open it by path; what was opened is compared again once it is locked.
            .open(&self.path)
            // By path, only for the text of the error.
            .map_err(|cause| match fs::symlink_metadata(&self.path) {
                Ok(found) if !found.is_file() => {
                    let kind = no_socket(&found).unwrap_or("a socket");
                    self.error(format!("found {kind}, not a lock file"))
                }
                Ok(found) if found.uid() != user() && cause.kind() == io::ErrorKind::PermissionDenied => {
                    match holder::of(&found) {
                        Some(holder) => self.held(Some(&holder)),
                        None => self.perhaps_left_over(&found, "no process is seen to hold it"),
                    }
                }
                _ => self.io(cause),
            })
    }

    /// Locks the open file; `false` where the file system has no locks.
    fn lock(&self, file: &File, opened: &Metadata) -> Result<bool, ListenError> {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Err(self.held(holder::of(opened).as_ref())),
            // Some network file systems have no locks. The probe and the file's identity remain.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %self.path.display(), "this file system has no locks");
                Ok(false)
            }
            Err(TryLockError::Error(error)) => Err(self.io(error)),
        }
    }

    fn held(&self, holder: Option<&Holder>) -> ListenError {
        let holder = holder.map_or_else(|| "a process".to_owned(), Holder::to_string);
        // By path, only for the text of the error.
        let gone = match fs::symlink_metadata(self.socket) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => ", while its socket file is gone",
            _ => "",
        };
        let lock = self.path.display();
        let found = format!(
            "a server is alive there: {holder} holds its lock {lock}{gone}; stop it, or choose another path"
        );
        ListenError::AddrInUse { path: self.socket.to_owned(), found }
    }

    /// The error where this process sees no holder. There may be one all the same: the system does not name a process
    /// of another PID namespace, and on some file systems no process at all.
    fn perhaps_left_over(&self, found: &Metadata, held: &str) -> ListenError {
        let (owner, user, socket) = (found.uid(), user(), self.socket.display());
        self.error(format!(
            "it belongs to user {owner}, this process to user {user}, and {held}. If no server of user {owner} runs, nor one \
             in a container that shares the directory, it is left over: remove it and {socket} as user {owner} or the \
             superuser. Otherwise stop that server, or choose another path"
        ))
    }

    /// The error where a file that was just made belongs to another user.
    fn not_ours(&self, found: &Metadata) -> ListenError {
        let (owner, user) = (found.uid(), user());
        self.error(format!(
            "this file system gives to user {owner} what a process of user {user} makes, so that no server can tell what is \
             its own; choose a path on another one"
        ))
    }

    /// Checks that the lock file which another user has left may be taken.
    fn may_reclaim(&self, left: &Metadata) -> Result<(), ListenError> {
        if only_ours_to_write(&self.path).map_err(|cause| self.io(cause))? {
            return Ok(());
        }
        let (owner, user, socket) = (left.uid(), user(), self.socket.display());
        Err(self.error(format!(
            "it belongs to user {owner}, this process to user {user}, and no process holds it: a server of user {owner} has \
             left it. It is not taken over, as not only user {user} may write to the directory. Remove it and {socket} as \
             user {owner} or the superuser, or run as user {owner}"
        )))
    }

    fn remove(&self, left: &Metadata) -> Result<(), ListenError> {
        // By path, because POSIX has no other way to remove a file; only this user may write to the directory.
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| Identity::of(&found) == Identity::of(left)) {
            fs::remove_file(&self.path).map_err(|cause| self.io(cause))?;
        }
        Ok(())
    }
}
