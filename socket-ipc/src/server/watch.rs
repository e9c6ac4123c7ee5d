//! Checks that clients still find the socket file, and binds the path again if they do not.

use std::io;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::state::State;
use crate::endpoint::lifecycle::Phase;
use crate::error::{Error, ListenError};
use crate::unix_socket::socket_file::{self, Instead, Look, PassedFile, SocketFile};

/// The shortest interval, whatever the options say: without a pause the loop would spin.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// The most looks between two attempts to bind the path again while the same obstacle is there. Each attempt connects
/// to the socket at the path, which may disturb its server.
const LONGEST_PAUSE: u32 = 32;

/// Notices that the socket file is gone. It is part of the task that accepts, so it lives no longer than that task.
pub(super) struct Watch {
    interval: Option<Interval>,
    /// The socket file, if another process has bound it.
    passed_file: Option<PassedFile>,
    gone: Option<Gone>,
    /// The error of the last look, which was logged.
    unseen: Option<io::ErrorKind>,
}

/// A socket file that is gone, which was reported.
struct Gone {
    instead: Instead,
    /// The looks that pass before the next attempt, and the looks that have passed.
    pause: u32,
    passed: u32,
    /// The obstacle of the last attempt, which was reported.
    obstacle: Option<String>,
}

impl Watch {
    pub(super) fn new(interval: Option<Duration>, passed_file: Option<PassedFile>) -> Self {
        let interval = interval.map(|interval| {
            let interval = interval.max(SHORTEST_INTERVAL);
            // The first look comes after one interval. An interval beyond the range of the clock becomes `NEVER`.
            let mut ticks =
                interval_at(tokio::time::Instant::now() + interval.min(NEVER), interval.min(NEVER));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { interval, passed_file, gone: None, unseen: None }
    }

    /// Waits for the time of the next look.
    pub(super) async fn tick(&mut self) {
        match &mut self.interval {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Looks at the path. Returns the listener that the server uses from now on, if it is another one.
    pub(super) async fn look(&mut self, state: &State) -> Option<UnixListener> {
        let look = self.passed_file.as_ref().map_or_else(|| state.socket.look(), PassedFile::look);
        let unseen = look.as_ref().err().map(io::Error::kind);
        let unseen_before = std::mem::replace(&mut self.unseen, unseen);
        let instead = match look {
            Ok(Look::InPlace) => {
                self.gone = None;
                state.keep_lock();
                return None;
            }
            Ok(Look::Gone(instead)) => instead,
            // The file may still be there, so nothing is done.
            Err(error) => {
                if unseen != unseen_before {
                    let path = state.options.path.display();
                    tracing::warn!(%path, %error, "can't see whether the socket file is still there");
                }
                return None;
            }
        };
        let path = || state.options.path.clone();
        if self.gone.as_ref().is_none_or(|gone| gone.instead != instead) {
            let found = instead.found.clone();
            // A reported obstacle is not reported again if only the file at the path has changed.
            let obstacle = self.gone.take().and_then(|gone| gone.obstacle);
            self.gone = Some(Gone { instead, pause: 0, passed: 0, obstacle });
            state.core.events.report_to_operator(&Error::SocketFileGone { path: path(), found });
        }
        let gone = self.gone.as_mut()?;
        if self.passed_file.is_some() || !gone.is_due() {
            return None;
        }
        match state.bind_again().await {
            Ok(None) => None,
            Ok(Some(listener)) => {
                self.gone = None;
                state.core.events.report_to_operator(&Error::SocketFileBoundAgain { path: path() });
                Some(listener)
            }
            Err(cause) => {
                let obstacle = cause.to_string();
                if gone.obstacle.as_ref() != Some(&obstacle) {
                    gone.obstacle = Some(obstacle);
                    state
                        .core
                        .events
                        .report_to_operator(&Error::SocketFileNotBoundAgain { path: path(), cause });
                }
                None
            }
        }
    }
}

impl State {
    /// Binds the path again after its socket file is gone; `None` if the server no longer listens.
    async fn bind_again(&self) -> Result<Option<UnixListener>, ListenError> {
        let locked = self.with_socket_file(|file| file.lock_again().map(|_| file.path().to_owned()));
        let Some(path) = locked.transpose()? else { return Ok(None) };
        let dead = socket_file::probe(&path).await?;
        self.with_socket_file(|file| file.listen_again(dead)).transpose()
    }

    /// Makes and locks the lock file again if it is gone while the socket file is in place: some cleaners of `/tmp`
    /// remove the lock file, because no process writes to it, and leave the socket.
    fn keep_lock(&self) {
        let path = self.options.path.display();
        match self.with_socket_file(SocketFile::lock_again) {
            Some(Ok(true)) => tracing::warn!(%path, "the lock file was gone, and is made and locked again"),
            Some(Err(error)) => {
                tracing::debug!(%path, %error, "the lock file is gone, and can't be locked again yet")
            }
            Some(Ok(false)) | None => {}
        }
    }

    fn with_socket_file<T>(&self, with: impl FnOnce(&mut SocketFile) -> T) -> Option<T> {
        self.socket.with_file(|| self.core.lifecycle.phase() == Phase::Running, with)
    }
}

/// Thirty years, as tokio has it.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Gone {
    /// Whether it is time to bind the path again: at every look at first, and then ever more rarely.
    fn is_due(&mut self) -> bool {
        if self.passed < self.pause {
            self.passed += 1;
            return false;
        }
        self.passed = 0;
        self.pause = (2 * self.pause + 1).min(LONGEST_PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Server;

    #[test]
    fn watch_obstacle_stays_tries_ever_more_rarely() {
        let mut gone = Gone { instead: Instead::nothing(), pause: 0, passed: 0, obstacle: None };
        let due: Vec<_> = (0..120).filter(|_| gone.is_due()).collect();
        assert_eq!(due, [0, 2, 6, 14, 30, 62, 95]);
    }

    #[tokio::test]
    async fn server_closing_bind_again_binds_nothing() {
        let directory = std::env::temp_dir().join(format!("socket-ipc-state-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("test.sock");
        let server = Server::builder(&path).watch(None).build();
        server.listen().await.unwrap();
        let state = Arc::clone(&server.handle().state);
        std::fs::remove_file(&path).unwrap();
        // What closing does first; the file is still the server's to bind.
        assert!(state.core.lifecycle.advance(&[Phase::Running], Phase::Closing).is_some());
        assert!(state.bind_again().await.unwrap().is_none());
        assert!(!path.exists(), "bound again");
        state.socket.free_path();
        std::fs::remove_dir(directory).unwrap();
    }
}
