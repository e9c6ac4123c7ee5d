//! The events of a client's connection, and what is logged where no listener takes one.

use std::sync::Arc;

use crate::endpoint;
use crate::endpoint::events::event_lists;
use crate::error::ConnectError;
use crate::events::CloseReason;
use crate::events::ordered::Holds;
use crate::router::Wait;

event_lists! {
    /// The listeners of the events that only a client has.
    pub(super) struct ClientEvents {
        /// Says whether there was a connection before.
        connect: Fn(bool, &Holds),
        reconnect: Fn(),
        connect_error: Fn(&Arc<ConnectError>),
        disconnect: Fn(&CloseReason, &Holds),
    }
}

type Events = endpoint::events::Events<(), ClientEvents>;

impl Events {
    /// Reports a connection. What it returns has to finish before the first message is dispatched.
    pub(super) fn report_connect(&self, again: bool) -> Option<Wait> {
        let holds = Holds::default();
        self.fire(&self.own.connect, "the connect event", None, |call| call(again, &holds));
        if again {
            self.fire(&self.own.reconnect, "the reconnect event", None, |call| call());
        }
        holds.into_wait()
    }

    /// Reports an attempt that failed. Of several in a row, the first that no listener takes is a warning: `warned` says
    /// whether there was one.
    pub(super) fn report_connect_error(&self, error: &Arc<ConnectError>, warned: &mut bool) {
        let event = &self.own.connect_error;
        let taken = self.fire(event, "the connect error event", None, |call| call(error));
        if !taken && !std::mem::replace(warned, true) {
            tracing::warn!(%error, "an attempt to connect failed");
        } else {
            tracing::debug!(%error, "an attempt to connect failed");
        }
    }

    /// Reports the end of a connection. What it returns has to finish before the client connects again.
    pub(super) fn report_disconnect(&self, reason: &CloseReason) -> Option<Wait> {
        let holds = Holds::default();
        let event = &self.own.disconnect;
        let taken = self.fire(event, "the disconnect event", None, |call| call(reason, &holds));
        if !taken && reason.is_loss() {
            tracing::warn!(%reason, "the connection ended");
        } else {
            tracing::debug!(%reason, "the connection ended");
        }
        holds.into_wait()
    }
}
