//! The loop that lets clients in.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::admit::peer_of;
use super::state::State;
use crate::connection::Endpoint;
use crate::delay::Delay;
use crate::error::Error;

/// Whatever the options say: no pause at all would spin.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Accepts connections until the task is ended.
pub(super) async fn accept(listener: UnixListener, state: Arc<State>) {
    let pauses = state.options.accept_pause;
    let mut pause = pauses.shortest();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                pause = pauses.shortest();
                // A peer whose credentials can't be read is nobody: it gets in only where anybody does.
                let peer = peer_of(&stream).ok();
                if let Err(refusal) = state.admit(stream, peer) {
                    state.error(refusal);
                }
            }
            Err(cause) => {
                state.error(Error::Accept { path: state.options.path.clone(), cause });
                // A connection that can't be accepted for want of descriptors stays in the backlog: trying at
                // once would spin.
                tokio::time::sleep(pause.max(SHORTEST_PAUSE)).await;
                pause = longer(pause, pauses);
            }
        }
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
    fn the_pause_doubles_up_to_its_longest() {
        let pauses: Vec<_> =
            std::iter::successors(Some(ACCEPT_PAUSE.shortest()), |pause| Some(longer(*pause, ACCEPT_PAUSE)))
                .take(9)
                .map(|pause| pause.as_millis())
                .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
