//! The events that only a client has, and what is logged where no listener takes one.

use std::sync::Arc;

use super::state::State;
use crate::endpoint::events::event_lists;
use crate::error::ConnectError;
use crate::events::CloseReason;

event_lists! {
    /// The listeners of the events of a connection.
    pub(super) struct Events {
        /// Says whether there was a connection before.
        connect: Fn(bool),
        reconnect: Fn(),
        connect_error: Fn(&Arc<ConnectError>),
        disconnect: Fn(&CloseReason),
    }
}

impl State {
    pub(super) fn report_connect(&self, again: bool) {
        let events = &self.core.events;
        events.fire(&self.events.connect, "the connect event", None, |call| call(again));
        if again {
            events.fire(&self.events.reconnect, "the reconnect event", None, |call| call());
        }
    }

    pub(super) fn report_connect_error(&self, error: &Arc<ConnectError>) {
        let event = &self.events.connect_error;
        if !self.core.events.fire(event, "the connect error event", None, |call| call(error)) {
            tracing::warn!(error = &**error as &dyn std::error::Error, "an attempt to connect failed");
        }
    }

    pub(super) fn report_disconnect(&self, reason: &CloseReason) {
        let event = &self.events.disconnect;
        let taken = self.core.events.fire(event, "the disconnect event", None, |call| call(reason));
        if !taken && reason.is_loss() {
            tracing::warn!(%reason, "the connection ended");
        } else {
            tracing::debug!(%reason, "the connection ended");
        }
    }
}
