//! The events that only a server has, and what is logged where no listener takes one.

use super::state::State;
use crate::client_id::ClientId;
use crate::endpoint::events::event_lists;
use crate::events::CloseReason;

event_lists! {
    /// The listeners of the events of the socket and the connections.
    pub(super) struct Events {
        listening: Fn(),
        connection: Fn(ClientId),
        connection_close: Fn(ClientId, &CloseReason),
    }
}

impl State {
    pub(super) fn report_listening(&self) {
        self.core.events.fire(&self.events.listening, "the listening event", None, |call| call());
    }

    pub(super) fn report_connection(&self, id: ClientId) {
        self.core.events.fire(&self.events.connection, "the connection event", Some(id), |call| call(id));
    }

    pub(super) fn report_connection_close(&self, id: ClientId, reason: &CloseReason) {
        let event = &self.events.connection_close;
        let taken =
            self.core.events.fire(event, "the connection close event", Some(id), |call| call(id, reason));
        if !taken && reason.is_loss() {
            tracing::warn!(client = id.get(), %reason, "a connection ended");
        } else {
            tracing::debug!(client = id.get(), %reason, "a connection ended");
        }
    }
}
