//! The connection to the NATS server: whether it is there, and what its client reports.

use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::Event;
use tokio::sync::watch;

use super::events::{ClusterEvent, Hub};
use super::group_subscriptions::GroupSubscriptions;
use super::offers::Offers;
use super::pending::Pending;

/// What is reported where the NATS client drops messages.
const SLOW: &str = "the NATS client dropped messages, as this node takes them too slowly: broadcasts among them are \
                    counted with the next beats, messages and requests are lost";

/// Whether there is a connection. What would wait for one is told at once that there is none.
pub(super) struct Link {
    up: watch::Sender<bool>,
    /// The NATS client dropped messages, and that was reported a moment ago.
    slow: AtomicBool,
}

impl Link {
    pub(super) fn new() -> Self {
        Self { up: watch::Sender::new(true), slow: AtomicBool::new(false) }
    }

    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Tells each time whether there is a connection.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Waits until there is no connection.
    pub(super) async fn down(&self) {
        // An error is not possible: the sender is here.
        let _ = self.up.subscribe().wait_for(|up| !up).await;
    }

    /// Waits for a future of the NATS client, which may wait for a connection. `None` once there is none.
    pub(super) async fn while_up<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if !self.is_up() {
            return None;
        }
        tokio::select! {
            biased;
            value = future => Some(value),
            () = self.down() => None,
        }
    }

    /// Acts on what the NATS client reports.
    pub(super) fn on_event(
        &self,
        event: &Event,
        pending: &Pending,
        offers: &Offers,
        groups: &GroupSubscriptions,
        hub: &Hub,
    ) {
        match event {
            Event::Connected => self.set(true, pending, hub),
            Event::Disconnected | Event::Closed => self.set(false, pending, hub),
            Event::Draining => {}
            Event::LameDuckMode => hub.report(ClusterEvent::Error("the NATS server shuts down".to_owned())),
            // It comes once for each message: one of them is enough.
            Event::SlowConsumer(_) => {
                if !self.slow.swap(true, Ordering::AcqRel) {
                    hub.report(ClusterEvent::Error(SLOW.to_owned()));
                }
            }
            Event::ServerError(error) => {
                let error = error.to_string();
                offers.on_error(&error);
                groups.on_error(&error);
                hub.report(ClusterEvent::Error(error));
            }
            Event::ClientError(error) => hub.report(ClusterEvent::Error(error.to_string())),
        }
    }

    /// Lets the next messages that the NATS client drops be reported.
    pub(super) fn forget_slow(&self) {
        self.slow.store(false, Ordering::Release);
    }

    pub(super) fn set(&self, up: bool, pending: &Pending, hub: &Hub) {
        // What watches it is woken by a change alone: this is called several times a second.
        if !self.up.send_if_modified(|is_up| std::mem::replace(is_up, up) != up) {
            return;
        }
        if !up {
            pending.fail_all();
        }
        hub.report(if up { ClusterEvent::LinkUp } else { ClusterEvent::LinkDown });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn link_that_stays_as_it_is_wakes_nobody() {
        let (link, hub, (pending, _cancels)) = (Link::new(), Hub::default(), Pending::new(1));
        let mut watching = link.watch();
        link.set(true, &pending, &hub);
        assert!(!watching.has_changed().unwrap());
        link.set(false, &pending, &hub);
        link.set(true, &pending, &hub);
        assert!(watching.has_changed().unwrap(), "also where it is there again");
        assert!(*watching.borrow_and_update());
    }

    #[test]
    fn dropped_messages_are_reported_once_at_a_time() {
        let (link, hub, (pending, _cancels)) = (Link::new(), Hub::default(), Pending::new(1));
        let mut events = hub.stream();
        let (offers, groups) = (Offers::default(), GroupSubscriptions::default());
        let drop_one = || link.on_event(&Event::SlowConsumer(1), &pending, &offers, &groups, &hub);
        let mut next = || events.next().now_or_never().flatten();
        drop_one();
        drop_one();
        assert_eq!((next(), next()), (Some(ClusterEvent::Error(SLOW.to_owned())), None));
        link.forget_slow();
        drop_one();
        assert!(next().is_some());
    }
}
