//! The events of a client, and what is said where nobody listens for one.

use std::sync::Arc;

use crate::error::{ConnectError, Error, MessageError};
use crate::events::{CloseReason, EventList};
use crate::listener::{DropReport, ListenerId};

type OnConnectError = dyn Fn(&Arc<ConnectError>) + Send + Sync;

/// The listeners of every event of one client.
pub(super) struct Events {
    /// Whether it is not the first connection goes with each.
    pub(super) connect: EventList<dyn Fn(bool) + Send + Sync>,
    pub(super) reconnect: EventList<dyn Fn() + Send + Sync>,
    pub(super) connect_error: EventList<OnConnectError>,
    pub(super) disconnect: EventList<dyn Fn(&CloseReason) + Send + Sync>,
    pub(super) message_error: EventList<dyn Fn(&MessageError) + Send + Sync>,
    pub(super) error: EventList<dyn Fn(&Error) + Send + Sync>,
    pub(super) close: EventList<dyn Fn() + Send + Sync>,
}

impl Events {
    pub(super) fn new(report: &DropReport) -> Self {
        Self {
            connect: EventList::new(report),
            reconnect: EventList::new(report),
            connect_error: EventList::new(report),
            disconnect: EventList::new(report),
            message_error: EventList::new(report),
            error: EventList::new(report),
            close: EventList::new(report),
        }
    }

    pub(super) fn off(&self, listener: ListenerId) -> bool {
        self.connect.off(listener)
            || self.reconnect.off(listener)
            || self.connect_error.off(listener)
            || self.disconnect.off(listener)
            || self.message_error.off(listener)
            || self.error.off(listener)
            || self.close.off(listener)
    }

    pub(super) fn clear(&self) {
        self.connect.clear();
        self.reconnect.clear();
        self.connect_error.clear();
        self.disconnect.clear();
        self.message_error.clear();
        self.error.clear();
        self.close.clear();
    }

    pub(super) fn report_connect(&self, again: bool) {
        self.connect.fire(|call| call(again), |panic| self.report_panic("the connect event", panic));
        if again {
            self.reconnect.fire(|call| call(), |panic| self.report_panic("the reconnect event", panic));
        }
    }

    pub(super) fn report_connect_error(&self, error: &Arc<ConnectError>) {
        let heard = self
            .connect_error
            .fire(|call| call(error), |panic| self.report_panic("the connect error event", panic));
        if !heard {
            tracing::warn!(error = &**error as &dyn std::error::Error, "an attempt to connect failed");
        }
    }

    pub(super) fn report_disconnect(&self, reason: &CloseReason) {
        let heard = self
            .disconnect
            .fire(|call| call(reason), |panic| self.report_panic("the disconnect event", panic));
        if !heard && reason.is_loss() {
            tracing::warn!(%reason, "the connection ended");
        } else {
            tracing::debug!(%reason, "the connection ended");
        }
    }

    pub(super) fn report_message_error(&self, error: &MessageError) {
        let heard = self
            .message_error
            .fire(|call| call(error), |panic| self.report_panic("the message error event", panic));
        if !heard {
            tracing::warn!(%error, "a message could not be heard");
        }
    }

    pub(super) fn report_error(&self, error: &Error) {
        // A panic here has nowhere further to go.
        let heard = self.error.fire(
            |call| call(error),
            |panic| tracing::error!(panic, "a listener of the error event panicked"),
        );
        if !heard {
            tracing::warn!(error = error as &dyn std::error::Error, "an error of the client");
        }
    }

    pub(super) fn report_close(&self) {
        self.close.fire(|call| call(), |panic| self.report_panic("the close event", panic));
    }

    pub(super) fn report_panic(&self, heard: &str, panic: String) {
        self.report_error(&Error::ListenerPanicked { heard: heard.to_owned(), client_id: None, panic });
    }
}
