//! The file at a path: its kind, its identity, and a handle that no later file can take over.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Tells a file from a later file of the same name, as long as something keeps the first one. An open socket keeps the
/// file that it is bound to, and an open descriptor keeps its own. The times of a file are no part of its identity:
/// `chmod`, `chown`, `setfacl` and a hard link change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A file that is held. Meanwhile no other file has its inode number, and no call on it reaches another file, whatever
/// happens to its path.
#[derive(Debug)]
pub(super) struct Held {
    /// A descriptor of the file that does not open it (`O_PATH`), where the system has such descriptors.
    descriptor: Option<File>,
    metadata: Metadata,
}

impl Held {
    /// Takes hold of the file at `path`, without following symbolic links.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        let opened = match descriptor_of(path) {
            Ok(Some(file)) => file.metadata().map(|metadata| Self { descriptor: Some(file), metadata }),
            // Without such descriptors only the metadata is read: nothing is changed.
            Ok(None) => fs::symlink_metadata(path).map(|metadata| Self { descriptor: None, metadata }),
            Err(error) => Err(error),
        };
        match opened {
            Ok(held) => Ok(Some(held)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(super) fn identity(&self) -> Identity {
        Identity::of(&self.metadata)
    }

    /// Whether `later`, found at the same path, is still this file.
    pub(super) fn is(&self, later: &Self) -> bool {
        let changed = |held: &Self| (held.metadata.ctime(), held.metadata.ctime_nsec());
        // Where nothing holds the file, its inode number may have been reused: then the time counts, too.
        self.identity() == later.identity() && (self.descriptor.is_some() || changed(self) == changed(later))
    }

    /// Sets the mode of the file.
    ///
    /// # Errors
    ///
    /// The mode can't be set. Or only the path leads to the file: `chmod` would follow a link that has replaced it.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let Some(name) = self.name() else { return Err(io::ErrorKind::Unsupported.into()) };
        // `fchmod` refuses such a descriptor. Its name in `/proc` leads to this file alone.
        fs::set_permissions(name, Permissions::from_mode(mode))
    }

    /// The current permissions.
    pub(super) fn mode(&self) -> io::Result<u32> {
        let metadata = self.descriptor.as_ref().map_or_else(|| Ok(self.metadata.clone()), File::metadata)?;
        Ok(metadata.mode() & 0o777)
    }

    /// Sets the group of the file.
    ///
    /// # Errors
    ///
    /// The group can't be set, or only the path leads to the file.
    pub(super) fn set_group(&self, group: u32) -> io::Result<()> {
        self.descriptor
            .as_ref()
            .map_or_else(|| Err(io::ErrorKind::Unsupported.into()), |file| set_group_of(file, group))
    }

    /// Whether a server listens on this socket. `false` on systems without such descriptors.
    pub(super) fn is_alive(&self) -> io::Result<bool> {
        use rustix::io::Errno;
        use rustix::net::{SocketAddrUnix, connect};

        let Some(name) = self.name() else { return Ok(false) };
        // The connect does not block: a full backlog means a live server, too.
        let probe = tokio::net::UnixSocket::new_stream()?;
        let connected = connect(&probe, &SocketAddrUnix::new(name)?);
        Ok(matches!(connected, Ok(()) | Err(Errno::AGAIN)))
    }

    /// A name that leads to this file and to no other.
    fn name(&self) -> Option<String> {
        use std::os::fd::AsRawFd;

        self.descriptor.as_ref().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd()))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn descriptor_of(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map(Some)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn descriptor_of(_path: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_group_of(file: &File, group: u32) -> io::Result<()> {
    use rustix::fs::{AtFlags, Gid, chownat};

    Ok(chownat(file, "", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_group_of(_file: &File, _group: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a call failed because its path, or a directory on the way, does not exist.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The kind of a file that is not a socket.
pub(crate) fn no_socket(found: &Metadata) -> Option<&'static str> {
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

/// What is found at the path of a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The file that was bound.
    InPlace,
    /// Another file, or none.
    Gone(Instead),
}

/// What is in the place of a socket file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instead {
    identity: Option<Identity>,
    pub(crate) found: String,
}

impl Instead {
    /// No file.
    pub(crate) fn nothing() -> Self {
        Self { identity: None, found: "nothing".to_owned() }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.identity.is_none()
    }
}

/// Looks for the socket file `bound` at `path`. By path, because clients connect by path.
pub(super) fn look(path: &Path, bound: Option<Identity>) -> io::Result<Look> {
    match fs::symlink_metadata(path) {
        Ok(found) if bound == Some(Identity::of(&found)) => Ok(Look::InPlace),
        Ok(found) => {
            let another = || format!("another socket, of user {}", found.uid());
            let identity = Some(Identity::of(&found));
            Ok(Look::Gone(Instead { identity, found: no_socket(&found).map_or_else(another, str::to_owned) }))
        }
        Err(error) if is_absence(&error) => Ok(Look::Gone(Instead::nothing())),
        Err(error) => Err(error),
    }
}

/// The socket file of a socket that was passed to this process. The server never changes it.
#[derive(Debug)]
pub(crate) struct PassedFile {
    path: std::path::PathBuf,
    identity: Identity,
}

impl PassedFile {
    /// The socket file at `path`; `None` where this process sees none, as in another mount namespace. By path, because
    /// the only use is to look there again.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let found = fs::symlink_metadata(&path).ok().filter(|found| no_socket(found).is_none())?;
        Some(Self { path, identity: Identity::of(&found) })
    }

    pub(crate) fn look(&self) -> io::Result<Look> {
        look(&self.path, Some(self.identity))
    }
}
