//! The loop that lets clients in.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::state::{State, peer_of};
use crate::connection::Endpoint;
use crate::error::Error;
use crate::limits::ACCEPT_PAUSE;

/// Accepts connections until the task is ended.
pub(super) async fn accept(listener: UnixListener, state: Arc<State>) {
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                pause = ACCEPT_PAUSE.0;
                // A peer whose credentials can't be read is nobody: it gets in only where anybody does.
                let peer = peer_of(&stream).ok();
                if let Err(refusal) = state.admit(stream, peer) {
                    state.error(refusal);
                }
            }
            Err(source) => {
                state.error(Error::Accept { path: state.options.path.clone(), source });
                // A connection that can't be accepted for want of descriptors stays in the backlog: trying at once would spin.
                tokio::time::sleep(pause).await;
                pause = longer(pause);
            }
        }
    }
}

fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(ACCEPT_PAUSE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_longest() {
        let pauses: Vec<_> = std::iter::successors(Some(ACCEPT_PAUSE.0), |pause| Some(longer(*pause)))
            .take(9)
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
