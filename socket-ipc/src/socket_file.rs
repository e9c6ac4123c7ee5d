//! The path: who may bind it, what is reclaimed, and what goes away at the end.
//!
//! Beside the socket `path` stands `path.lock`, which a server holds locked (`flock(2)`) for its life. Two
//! servers of this library never both listen on a path; a program that knows nothing of the lock can still
//! displace one, as POSIX has no way to remove a file only if it is a certain one.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::error::ListenError;

/// `sockaddr_un` has room for this many bytes of path beside the NUL that ends it (`unix(7)`; `unix(4)` on
/// the BSDs).
pub(crate) const MAX_PATH_LEN: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How often the lock file may turn out to be gone once it is locked: each time, a server that had it has just
/// ended.
const LOCK_ATTEMPTS: u32 = 1_000;

/// A path that is bound, its lock held. What is dropped is removed.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// Absolute: the process may change its directory.
    path: PathBuf,
    bound: Option<Identity>,
    /// Held as long as the file is.
    _lock: Lock,
}

/// What tells a file from another that has its name later. Inode numbers are reused, so the time counts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
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
pub(crate) async fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), ListenError> {
    if let Some(reason) = refuse_path(path) {
        return Err(ListenError::InvalidPath { path: path.to_owned(), reason });
    }
    let io = |action| move |cause| ListenError::Io { path: path.to_owned(), action, cause };
    let absolute = std::path::absolute(path).map_err(io("find the current directory"))?;
    let lock = Lock::take(path, &absolute)?;
    reclaim(path).await?;

    let socket = UnixSocket::new_stream().map_err(io("make a socket"))?;
    // Before the file exists, so that it never has others. The umask still clears bits of it, and some
    // systems refuse: what is not right then is put right below, before anybody can connect.
    let as_file = File::from(socket.as_fd().try_clone_to_owned().map_err(io("make a socket"))?);
    let _ = as_file.set_permissions(Permissions::from_mode(mode));
    drop(as_file);
    socket.bind(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::AddrInUse {
            path: path.to_owned(),
            found: "another program has just bound it".to_owned(),
        },
        _ => io("bind the socket")(cause),
    })?;
    let mut file = SocketFile { path: absolute, bound: None, _lock: lock };
    let made = fs::symlink_metadata(path).map_err(io("look at the socket file"))?;
    file.bound = Some(Identity::of(&made));
    if made.mode() & 0o777 != mode & 0o777 {
        // The umask took bits away, or this system heeds no mode of an unbound socket.
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(io("set the permissions of the socket file"))?;
        let made = fs::symlink_metadata(path).map_err(io("look at the socket file"))?;
        file.bound = Some(Identity::of(&made));
    }
    // Only now can anybody connect.
    let listener = socket.listen(BACKLOG).map_err(io("listen on the socket"))?;
    Ok((listener, file))
}

impl SocketFile {
    /// Removes the file, unless it has become somebody else's. The lock stays.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        let Some(bound) = self.bound.take() else { return Ok(()) };
        match fs::symlink_metadata(&self.path) {
            Ok(found) if Identity::of(&found) == bound => fs::remove_file(&self.path),
            Ok(_) => {
                tracing::warn!(path = %self.path.display(), "the socket file has become somebody else's; left alone");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(path = %self.path.display(), %error, "the socket file could not be removed");
        }
    }
}

/// Makes room at `path`, where only a socket that nobody listens on may be removed.
async fn reclaim(path: &Path) -> Result<(), ListenError> {
    let io = |action| move |cause| ListenError::Io { path: path.to_owned(), action, cause };
    let in_use = |found: &str| ListenError::AddrInUse { path: path.to_owned(), found: found.to_owned() };
    let Some(found) = look_at(path).map_err(io("look at what is there"))? else { return Ok(()) };
    if let Some(found) = no_socket(&found) {
        return Err(ListenError::NotASocket { path: path.to_owned(), found });
    }
    // Refusal alone proves nothing: a regular file refuses a connection too, and so does a socket that is
    // about to listen. The first was ruled out above; the second, if it is of this library, holds the
    // lock.
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(_) => return Err(in_use("a server is alive there")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(in_use("a server is alive there, with no room for another connection"));
        }
        Err(error) => return Err(in_use(&format!("a socket is there that can't be probed ({error})"))),
    }
    match look_at(path).map_err(io("look at what is there"))? {
        None => Ok(()),
        Some(still) if Identity::of(&still) == Identity::of(&found) => {
            fs::remove_file(path).map_err(io("remove the abandoned socket file"))
        }
        Some(_) => Err(in_use("another program has just bound it")),
    }
}

/// What stands at `path` itself, symbolic links not followed.
fn look_at(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says what a file is that is not a socket.
fn no_socket(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    if kind.is_socket() {
        None
    } else if kind.is_file() {
        Some("a regular file")
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else {
        Some("a device")
    }
}

/// The lock file beside a socket, held. Dropping it removes the file, then lets go.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// The lock is that of this open file.
    file: File,
}

impl Lock {
    /// Takes the lock of the socket at `path`. One that is held means a live server, which is not bothered
    /// with a connection.
    fn take(socket: &Path, absolute: &Path) -> Result<Self, ListenError> {
        let mut path = absolute.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let io = |cause| ListenError::Io { path: socket.to_owned(), action: "open its lock file", cause };
        let refuse = |reason: String| ListenError::Lock { path: path.clone(), reason };
        for _ in 0..LOCK_ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                // A FIFO in its place must not block, nor a link lead elsewhere.
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(&path)
                .map_err(|cause| match look_at(&path) {
                    Ok(Some(found)) if !found.is_file() => {
                        refuse(format!("found {}, not a lock file", no_socket(&found).unwrap_or("a socket")))
                    }
                    _ => io(cause),
                })?;
            let opened = file.metadata().map_err(io)?;
            if !opened.is_file() {
                return Err(refuse("not a regular file".to_owned()));
            }
            let user = rustix::process::geteuid().as_raw();
            if opened.uid() != user {
                return Err(refuse(format!(
                    "it belongs to user {}, this process to user {user}",
                    opened.uid()
                )));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let found = "a server is alive there, and holds its lock".to_owned();
                    return Err(ListenError::AddrInUse { path: socket.to_owned(), found });
                }
                // Some network file systems have no locks. What remains is the probe, and the file's
                // identity.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(path = %path.display(), "this file system has no locks");
                }
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
            // The server that held it may have removed the file meanwhile: then this is the lock of nothing.
            match look_at(&path).map_err(io)? {
                Some(found) if (found.dev(), found.ino()) == (opened.dev(), opened.ino()) => {
                    return Ok(Self { path, file });
                }
                _ => {}
            }
        }
        Err(refuse(format!("it was replaced each of the {LOCK_ATTEMPTS} times it was locked")))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held: whoever opened it before sees afterwards that it is gone.
        let same = |found: Metadata| {
            self.file.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (found.dev(), found.ino()))
        };
        if fs::symlink_metadata(&self.path).is_ok_and(same)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the lock file could not be removed");
        }
    }
}
