//! What a server listens on: the socket that it bound or was passed, and the socket file.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use super::accept::accept;
use super::state::State;
use super::watch::Watch;
use crate::endpoint::lifecycle::Phase;
use crate::error::{Error, ListenError};
use crate::sync::lock;
use crate::unix_socket::socket_file::{self, Look, SocketFile, Theirs};

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

    /// Gives up the socket file, which frees the path.
    pub(super) fn free_path(&self) {
        drop(lock(&self.file).take());
    }

    /// Whether this is the copy of a listening server in a child that was forked without `exec`.
    pub(super) fn is_copy(&self) -> bool {
        self.process.get().is_some_and(|process| *process != std::process::id())
    }
}

impl State {
    /// Spawns the task that accepts clients, and reports that the server listens.
    pub(super) fn accept_on(
        self: &Arc<Self>,
        listener: tokio::net::UnixListener,
        file: Option<SocketFile>,
        theirs: Option<Theirs>,
    ) -> Result<(), ListenError> {
        let watch = Watch::new(self.options.watch_interval, theirs);
        let accept = accept(listener, watch, Arc::clone(self)).instrument(self.span().clone());
        let accepting = tokio::spawn(accept);
        if !self.started(file, accepting.abort_handle()) {
            return Err(ListenError::Closed { path: self.options.path.clone() });
        }
        self.report_listening();
        Ok(())
    }

    /// The socket that somebody else has bound, if there is one; it stays for another attempt.
    pub(super) fn inherited(&self) -> io::Result<Option<UnixListener>> {
        lock(&self.socket.inherited).as_ref().map(UnixListener::try_clone).transpose()
    }

    /// Notes what the server listens with. `false`, and everything undone, if it was closed meanwhile.
    fn started(&self, socket: Option<SocketFile>, accepting: AbortHandle) -> bool {
        let _ = self.core.runtime.set(Handle::current());
        let _ = self.socket.process.set(std::process::id());
        drop(lock(&self.socket.inherited).take());
        *lock(&self.socket.file) = socket;
        *lock(&self.socket.accepting) = Some(accepting);
        let started = self.core.advance(&[Phase::Starting], Phase::Running).is_some();
        if !started {
            self.stop_accepting();
            self.socket.free_path();
        }
        started
    }

    /// Looks whether clients still find the socket file, if the server has one.
    pub(super) fn look_at_socket_file(&self) -> io::Result<Look> {
        lock(&self.socket.file).as_ref().map_or(Ok(Look::InPlace), SocketFile::look)
    }

    /// Binds the path again, whose socket file is gone; `None` on a server that does not listen any more.
    pub(super) async fn bind_again(&self) -> Result<Option<tokio::net::UnixListener>, ListenError> {
        let locked = self.with_socket_file(|file| file.lock_again().map(|_| file.path().to_owned()));
        let Some(path) = locked.transpose()? else { return Ok(None) };
        let dead = socket_file::probe(&path).await?;
        self.with_socket_file(|file| file.listen_again(dead)).transpose()
    }

    /// Holds the lock that others find, while the socket file is where it was: some cleaners of `/tmp` take the lock file,
    /// which nobody writes to, and leave the socket.
    pub(super) fn keep_lock(&self) {
        let path = self.options.path.display();
        match self.with_socket_file(SocketFile::lock_again) {
            Some(Ok(true)) => tracing::warn!(%path, "the lock file was gone, and is made and locked again"),
            Some(Err(error)) => {
                tracing::debug!(%path, %error, "the lock file is gone, and can't be locked again yet")
            }
            Some(Ok(false)) | None => {}
        }
    }

    /// Does something to the socket file of a server that listens. What it does is done before the server closes, or not at
    /// all: closing changes the phase first, and then takes the file.
    fn with_socket_file<T>(&self, with: impl FnOnce(&mut SocketFile) -> T) -> Option<T> {
        let mut socket = lock(&self.socket.file);
        socket.as_mut().filter(|_| self.core.phase() == Phase::Running).map(with)
    }

    pub(super) fn stop_accepting(&self) {
        // The file goes before the listener does, so that nobody finds a socket that refuses and takes it for
        // abandoned.
        let removed = lock(&self.socket.file).as_mut().map_or(Ok(()), SocketFile::remove);
        // Without the lock: this calls listeners.
        if let Err(cause) = removed {
            self.core.events.report_error(&Error::Remove { path: self.options.path.clone(), cause });
        }
        if let Some(accepting) = lock(&self.socket.accepting).take() {
            accepting.abort();
        }
        // Whoever waits to be accepted is told, though a handle may keep this for long.
        drop(lock(&self.socket.inherited).take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

    #[tokio::test]
    async fn server_that_has_begun_to_close_binds_no_path_again() {
        let directory = std::env::temp_dir().join(format!("socket-ipc-state-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("test.sock");
        let server = Server::builder(&path).watch(None).build();
        server.listen().await.unwrap();
        let state = Arc::clone(&server.handle().state);
        std::fs::remove_file(&path).unwrap();
        // What closing does first; the file is still the server's to bind.
        assert!(state.core.advance(&[Phase::Running], Phase::Closing).is_some());
        assert!(state.bind_again().await.unwrap().is_none());
        assert!(!path.exists(), "bound again");
        state.socket.free_path();
        std::fs::remove_dir(directory).unwrap();
    }
}
