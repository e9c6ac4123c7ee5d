//! The events of a client's connection, and what is logged where no listener takes one.

use std::sync::Arc;

use crate::endpoint;
use crate::endpoint::events::event_lists;
use crate::error::ConnectError;
use crate::events::CloseReason;

event_lists! {
    /// The listeners of the events that only a client has.
    pub(super) struct ClientEvents {
        /// Says whether there was a connection before.
        connect: Fn(bool),
        reconnect: Fn(),
        connect_error: Fn(&Arc<ConnectError>),
        disconnect: Fn(&CloseReason),
    }
}

type Events = endpoint::events::Events<(), ClientEvents>;

impl Events {
    pub(super) fn report_connect(&self, again: bool) {
        self.fire(&self.own.connect, "the connect event", None, |call| call(again));
        if again {
            self.fire(&self.own.reconnect, "the reconnect event", None, |call| call());
        }
    }

    pub(super) fn report_connect_error(&self, error: &Arc<ConnectError>) {
        let event = &self.own.connect_error;
        if !self.fire(event, "the connect error event", None, |call| call(error)) {
            tracing::warn!(error = &**error as &dyn std::error::Error, "an attempt to connect failed");
        }
    }

    pub(super) fn report_disconnect(&self, reason: &CloseReason) {
        let event = &self.own.disconnect;
        let taken = self.fire(event, "the disconnect event", None, |call| call(reason));
        if !taken && reason.is_loss() {
            tracing::warn!(%reason, "the connection ended");
        } else {
            tracing::debug!(%reason, "the connection ended");
        }
    }
}
