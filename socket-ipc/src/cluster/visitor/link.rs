//! The connection of a visitor to the NATS server, as the NATS client reports it.

use async_nats::{ClientError, Event, ServerError};
use tokio::sync::watch;

use super::VisitError;

/// What the NATS client reported last.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) is_down: bool,
    /// Why no connection can be made, while there is none.
    trouble: Option<String>,
    /// What the NATS server does not allow.
    pub(super) refused: Option<String>,
}

/// A change that a visitor is told of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkChange {
    Down,
    Up,
    /// Another attempt to connect has failed, for a reason that was not told yet.
    Trouble(String),
}

/// What has been told of the connection.
pub(super) struct Link {
    state: watch::Receiver<State>,
    is_down: bool,
    trouble: Option<String>,
}

/// Notes what the NATS client reports.
pub(super) fn note(state: &watch::Sender<State>, event: &Event) {
    match event {
        Event::Connected => state.send_modify(|state| (state.is_down, state.trouble) = (false, None)),
        Event::Disconnected | Event::Closed => state.send_modify(|state| state.is_down = true),
        Event::ServerError(ServerError::Other(error)) if error.contains("ermissions") => {
            state.send_modify(|state| state.refused = Some(error.clone()));
        }
        Event::ServerError(ServerError::AuthorizationViolation) => {
            state.send_modify(|state| {
                state.trouble.get_or_insert_with(|| ServerError::AuthorizationViolation.to_string());
            });
        }
        Event::ClientError(error) => {
            let reason = match error {
                ClientError::Other(reason) => reason.clone(),
                other => other.to_string(),
            };
            state.send_modify(|state| state.trouble = Some(reason));
        }
        _ => {}
    }
}

impl Link {
    pub(super) fn new(state: watch::Receiver<State>) -> Self {
        Self { state, is_down: false, trouble: None }
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// Waits for the next change. Nothing is lost if it is dropped before.
    pub(super) async fn changed(&mut self) -> Result<LinkChange, VisitError> {
        loop {
            let State { is_down, trouble, refused } = self.state.borrow_and_update().clone();
            if let Some(refused) = refused {
                return Err(VisitError::Refused(refused));
            }
            if std::mem::replace(&mut self.is_down, is_down) != is_down {
                return Ok(if is_down { LinkChange::Down } else { LinkChange::Up });
            }
            if self.trouble != trouble {
                self.trouble.clone_from(&trouble);
                // An error that ends no connection is a matter of the next attempts alone.
                if let Some(trouble) = trouble.filter(|_| is_down) {
                    return Ok(LinkChange::Trouble(trouble));
                }
            }
            self.state.changed().await.map_err(|_| VisitError::LinkDown)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn link_tells_each_change_once_and_why_it_stays_down() {
        let (noting, state) = watch::channel(State::default());
        let mut link = Link::new(state);
        let mut next = || link.changed().now_or_never().map(Result::unwrap);
        assert_eq!(next(), None);
        let error = |text: &str| Event::ClientError(ClientError::Other(text.to_owned()));
        note(&noting, &error("while it is up"));
        assert_eq!(next(), None);
        note(&noting, &Event::Disconnected);
        note(&noting, &error("expired"));
        assert_eq!((next(), next()), (Some(LinkChange::Down), Some(LinkChange::Trouble("expired".into()))));
        note(&noting, &error("expired"));
        assert_eq!(next(), None);
        note(&noting, &error("revoked"));
        assert_eq!((next(), next()), (Some(LinkChange::Trouble("revoked".into())), None));
        note(&noting, &Event::Connected);
        assert_eq!((next(), next()), (Some(LinkChange::Up), None));
        let refused = ServerError::Other("Permissions Violation".into());
        note(&noting, &Event::ServerError(refused));
        assert!(matches!(link.changed().now_or_never(), Some(Err(VisitError::Refused(_)))));
    }
}
