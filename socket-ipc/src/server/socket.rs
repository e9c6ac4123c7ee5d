//! What a server listens on: the socket that it bound or was passed, and the socket file.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::{Mutex, OnceLock};

use tokio::task::AbortHandle;

use crate::sync::lock;
use crate::unix_socket::socket_file::{Look, SocketFile};

pub(super) struct Socket {
    /// The socket that another process has bound, until the server listens on it.
    inherited: Mutex<Option<UnixListener>>,
    /// The socket file, while the server listens on one.
    file: Mutex<Option<SocketFile>>,
    /// The process that listens. A child that it forks has a copy of everything here.
    process: OnceLock<u32>,
    accepting: Mutex<Option<AbortHandle>>,
}

impl Socket {
    pub(super) fn new(inherited: Option<UnixListener>) -> Self {
        Self {
            inherited: Mutex::new(inherited),
            file: Mutex::new(None),
            process: OnceLock::new(),
            accepting: Mutex::new(None),
        }
    }

    /// A copy of the socket that another process has bound, if there is one. The socket itself stays for another
    /// attempt.
    pub(super) fn inherited(&self) -> io::Result<Option<UnixListener>> {
        lock(&self.inherited).as_ref().map(UnixListener::try_clone).transpose()
    }

    /// Notes what the server listens with.
    pub(super) fn listen_with(&self, file: Option<SocketFile>, accepting: AbortHandle) {
        let _ = self.process.set(std::process::id());
        drop(lock(&self.inherited).take());
        *lock(&self.file) = file;
        *lock(&self.accepting) = Some(accepting);
    }

    /// Looks whether clients still find the socket file, if the server has one.
    pub(super) fn look(&self) -> io::Result<Look> {
        lock(&self.file).as_ref().map_or(Ok(Look::InPlace), SocketFile::look)
    }

    /// Calls `with` on the socket file, if the server still listens. Closing changes the phase before it takes the
    /// file: it waits for a running `with`, and no `with` is called after it.
    pub(super) fn with_file<T>(
        &self,
        listens: impl FnOnce() -> bool,
        with: impl FnOnce(&mut SocketFile) -> T,
    ) -> Option<T> {
        let mut file = lock(&self.file);
        file.as_mut().filter(|_| listens()).map(with)
    }

    /// Whether this is the copy of a listening server in a child that was forked without `exec`.
    pub(super) fn is_copy(&self) -> bool {
        self.process.get().is_some_and(|process| *process != std::process::id())
    }

    /// Accepts no more clients.
    ///
    /// # Errors
    ///
    /// The socket file can't be removed.
    pub(super) fn stop_accepting(&self) -> io::Result<()> {
        // The file is removed before the listener: otherwise another server could find a socket that refuses
        // connections, and take it for abandoned.
        let removed = lock(&self.file).as_mut().map_or(Ok(()), SocketFile::remove);
        if let Some(accepting) = lock(&self.accepting).take() {
            accepting.abort();
        }
        // Dropping the inherited socket tells the clients that wait to be accepted: a handle may keep the server's
        // state for long.
        drop(lock(&self.inherited).take());
        removed
    }

    /// Gives up the socket file, which frees the path.
    pub(super) fn free_path(&self) {
        drop(lock(&self.file).take());
    }
}
