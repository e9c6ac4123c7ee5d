//! The events of a server, and what is said where nobody listens for one.

use crate::client_id::ClientId;
use crate::error::{Error, MessageError};
use crate::events::{CloseReason, EventList};
use crate::listener::{DropReport, ListenerId};

type OnConnectionClose = dyn Fn(ClientId, &CloseReason) + Send + Sync;
type OnMessageError = dyn Fn(&MessageError, ClientId) + Send + Sync;

/// The listeners of every event of one server.
pub(super) struct Events {
    pub(super) listening: EventList<dyn Fn() + Send + Sync>,
    pub(super) connection: EventList<dyn Fn(ClientId) + Send + Sync>,
    pub(super) connection_close: EventList<OnConnectionClose>,
    pub(super) message_error: EventList<OnMessageError>,
    pub(super) error: EventList<dyn Fn(&Error) + Send + Sync>,
    pub(super) close: EventList<dyn Fn() + Send + Sync>,
}

impl Events {
    pub(super) fn new(report: &DropReport) -> Self {
        Self {
            listening: EventList::new(report),
            connection: EventList::new(report),
            connection_close: EventList::new(report),
            message_error: EventList::new(report),
            error: EventList::new(report),
            close: EventList::new(report),
        }
    }

    pub(super) fn off(&self, listener: ListenerId) -> bool {
        self.listening.off(listener)
            || self.connection.off(listener)
            || self.connection_close.off(listener)
            || self.message_error.off(listener)
            || self.error.off(listener)
            || self.close.off(listener)
    }

    pub(super) fn clear(&self) {
        self.listening.clear();
        self.connection.clear();
        self.connection_close.clear();
        self.message_error.clear();
        self.error.clear();
        self.close.clear();
    }

    pub(super) fn report_listening(&self) {
        self.listening.fire(|call| call(), |panic| self.report_panic("the listening event", None, panic));
    }

    pub(super) fn report_connection(&self, id: ClientId) {
        self.connection
            .fire(|call| call(id), |panic| self.report_panic("the connection event", Some(id), panic));
    }

    pub(super) fn report_connection_close(&self, id: ClientId, reason: &CloseReason) {
        let heard = self.connection_close.fire(
            |call| call(id, reason),
            |panic| self.report_panic("the connection close event", Some(id), panic),
        );
        if !heard && reason.is_loss() {
            tracing::warn!(client = id.get(), %reason, "a connection ended");
        } else {
            tracing::debug!(client = id.get(), %reason, "a connection ended");
        }
    }

    pub(super) fn report_message_error(&self, error: &MessageError, id: ClientId) {
        let heard = self.message_error.fire(
            |call| call(error, id),
            |panic| self.report_panic("the message error event", Some(id), panic),
        );
        if !heard {
            tracing::warn!(client = id.get(), %error, "a message could not be heard");
        }
    }

    pub(super) fn report_error(&self, error: &Error) {
        if !self.fire_error(error) {
            tracing::warn!(error = error as &dyn std::error::Error, "an error of the server");
        }
    }

    /// Reports an error that an operator has to see, whether or not the program listens.
    pub(super) fn report_to_operator(&self, error: &Error) {
        tracing::warn!(error = error as &dyn std::error::Error, "an error of the server");
        self.fire_error(error);
    }

    /// Says whether anybody listens.
    fn fire_error(&self, error: &Error) -> bool {
        // A panic here has nowhere further to go.
        self.error.fire(
            |call| call(error),
            |panic| tracing::error!(panic, "a listener of the error event panicked"),
        )
    }

    pub(super) fn report_close(&self) {
        self.close.fire(|call| call(), |panic| self.report_panic("the close event", None, panic));
    }

    pub(super) fn report_panic(&self, heard: &str, client_id: Option<ClientId>, panic: String) {
        self.report_error(&Error::ListenerPanicked { heard: heard.to_owned(), client_id, panic });
    }
}
