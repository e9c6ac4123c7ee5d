//! The loop that lets clients in.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::admit::peer_of;
use super::state::State;
use super::watch::Watch;
use crate::endpoint::lifecycle::Phase;
use crate::error::{Error, ListenError};
use crate::limits::delay::Delay;
use crate::unix_socket::socket_file::{PassedFile, SocketFile};

/// The shortest pause, whatever the options say: without a pause the loop would spin.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// A socket that the process listens on. A forked child forgets its copy instead of dropping it. On a drop, tokio would
/// remove the socket from the epoll instance (`epoll_ctl(2)`), which the child shares with its parent: the parent would
/// accept no connection any more.
struct Listening {
    listener: Option<UnixListener>,
    process: u32,
}

impl Listening {
    fn on(listener: UnixListener) -> Self {
        Self { listener: Some(listener), process: std::process::id() }
    }

    async fn accept(&self) -> io::Result<UnixStream> {
        match &self.listener {
            Some(listener) => listener.accept().await.map(|(stream, _)| stream),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.listener.take());
        }
    }
}

/// Accepts connections until the task is aborted, and binds the path again if clients no longer find the socket.
async fn accept(listener: UnixListener, mut watch: Watch, state: Arc<State>) {
    let pauses = state.options.accept_pause;
    let mut pause = pauses.shortest();
    let mut listening = Listening::on(listener);
    loop {
        let accepted = tokio::select! {
            accepted = listening.accept() => accepted,
            () = watch.tick() => {
                if let Some(next) = watch.look(&state).await {
                    let before = std::mem::replace(&mut listening, Listening::on(next));
                    admit_waiting(before, &state).await;
                }
                continue;
            }
        };
        match accepted {
            Ok(stream) => {
                pause = pauses.shortest();
                admit(stream, &state).await;
            }
            Err(cause) => {
                state.core.events.report_error(&Error::Accept { path: state.options.path.clone(), cause });
                // A connection that can't be accepted for want of descriptors stays in the backlog: trying again at
                // once would spin.
                tokio::time::sleep(pause.max(SHORTEST_PAUSE)).await;
                pause = longer(pause, pauses);
            }
        }
    }
}

impl State {
    /// Spawns the task that accepts clients, and reports that the server listens.
    pub(super) fn accept_on(
        self: &Arc<Self>,
        listener: UnixListener,
        file: Option<SocketFile>,
        passed_file: Option<PassedFile>,
    ) -> Result<(), ListenError> {
        let watch = Watch::new(self.options.watch_interval, passed_file);
        let accept = accept(listener, watch, Arc::clone(self)).instrument(self.span().clone());
        let accepting = tokio::spawn(accept);
        let _ = self.core.runtime.set(Handle::current());
        self.socket.listen_with(file, accepting.abort_handle());
        if self.core.lifecycle.advance(&[Phase::Starting], Phase::Running).is_none() {
            // The server was closed meanwhile.
            self.stop_accepting();
            self.socket.free_path();
            return Err(ListenError::Closed { path: self.options.path.clone() });
        }
        self.core.events.report_listening();
        Ok(())
    }
}

/// Lets in the clients that wait in the backlog of the socket whose file is gone.
async fn admit_waiting(mut before: Listening, state: &Arc<State>) {
    // Accepts with the system call itself: tokio may not know of the clients yet, and limits how many a task accepts in
    // a row.
    let accept = |listener: &StdListener| {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    let Some(Ok(listener)) = before.listener.take().map(UnixListener::into_std) else { return };
    loop {
        match accept(&listener) {
            Ok(stream) => admit(stream, state).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // The clients that still wait are lost with the socket.
            Err(cause) => {
                return state
                    .core
                    .events
                    .report_error(&Error::Accept { path: state.options.path.clone(), cause });
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Lets a client in, or reports why not.
async fn admit(stream: UnixStream, state: &Arc<State>) {
    // A peer whose credentials can't be read is let in only if every peer is.
    let peer = peer_of(&stream).ok();
    let of_group = state.is_of_allowed_group(peer).await;
    if let Err(error) = state.admit(stream, peer, of_group) {
        state.core.events.report_error(&error);
    }
}

fn longer(pause: Duration, pauses: Delay) -> Duration {
    pause.max(SHORTEST_PAUSE).saturating_mul(2).min(pauses.longest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ACCEPT_PAUSE;

    #[test]
    fn pause_doubles_up_to_its_longest() {
        let pauses: Vec<_> =
            std::iter::successors(Some(ACCEPT_PAUSE.shortest()), |pause| Some(longer(*pause, ACCEPT_PAUSE)))
                .take(9)
                .map(|pause| pause.as_millis())
                .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
