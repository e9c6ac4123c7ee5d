//! The events of a server's socket and connections, and what is logged where no listener takes one.

use crate::client_id::ClientId;
use crate::endpoint;
use crate::endpoint::events::event_lists;
use crate::events::CloseReason;
use crate::events::ordered::Holds;
use crate::router::Wait;

event_lists! {
    /// The listeners of the events that only a server has.
    pub(super) struct ServerEvents {
        listening: Fn(),
        connection: Fn(ClientId, &Holds),
        connection_close: Fn(ClientId, &CloseReason),
    }
}

type Events = endpoint::events::Events<ClientId, ServerEvents>;

impl Events {
    pub(super) fn report_listening(&self) {
        self.fire(&self.own.listening, "the listening event", None, |call| call());
    }

    /// Reports a connection. What it returns has to finish before the first message is dispatched.
    pub(super) fn report_connection(&self, id: ClientId) -> Option<Wait> {
        let holds = Holds::default();
        self.fire(&self.own.connection, "the connection event", Some(id), |call| call(id, &holds));
        holds.into_wait()
    }

    pub(super) fn report_connection_close(&self, id: ClientId, reason: &CloseReason) {
        let event = &self.own.connection_close;
        let taken = self.fire(event, "the connection close event", Some(id), |call| call(id, reason));
        if !taken && reason.is_loss() {
            tracing::warn!(client = id.get(), %reason, "a connection ended");
        } else {
            tracing::debug!(client = id.get(), %reason, "a connection ended");
        }
    }
}
