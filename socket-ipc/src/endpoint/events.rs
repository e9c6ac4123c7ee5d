//! The events that a server and a client both have, and the log of events that no listener takes.

use super::peer_id::PeerId;
use crate::client_id::ClientId;
use crate::error::{Error, MessageError};
use crate::events::EventList;
use crate::listener::{DropReport, ListenerId};

/// The listeners of several events.
pub(crate) trait EventLists: Send + Sync + 'static {
    fn new(report: &DropReport) -> Self;
    /// Removes a listener, and says whether it was there.
    fn off(&self, listener: ListenerId) -> bool;
    /// Drops every listener, for good.
    fn clear(&self);
}

/// Declares a struct of event lists, each by its name and what its listeners take.
macro_rules! event_lists {
    (
        $(#[$doc:meta])*
        $vis:vis struct $lists:ident$(<$peer:ident>)? {
            $($(#[$event_doc:meta])* $event:ident: Fn($($argument:ty),*),)*
        }
    ) => {
        $(#[$doc])*
        $vis struct $lists$(<$peer>)? {
            $($(#[$event_doc])* $vis $event: $crate::events::EventList<dyn Fn($($argument),*) + Send + Sync>,)*
        }

        impl$(<$peer: $crate::endpoint::PeerId>)? $crate::endpoint::events::EventLists for $lists$(<$peer>)? {
            fn new(report: &$crate::listener::DropReport) -> Self {
                Self { $($event: $crate::events::EventList::new(report),)* }
            }

            fn off(&self, listener: $crate::listener::ListenerId) -> bool {
                false $(|| self.$event.off(listener))*
            }

            fn clear(&self) {
                $(self.$event.clear();)*
            }
        }
    };
}

pub(crate) use event_lists;

event_lists! {
    /// The listeners of the events that every endpoint has. `P` names its peers.
    pub(crate) struct CommonEvents<P> {
        message_error: Fn(&MessageError, P),
        error: Fn(&Error),
        close: Fn(),
    }
}

/// All events of an endpoint: `own` are the events that the other kind of endpoint does not have.
pub(crate) struct Events<P, E> {
    pub(crate) common: CommonEvents<P>,
    pub(crate) own: E,
}

impl<P: PeerId, E: EventLists> EventLists for Events<P, E> {
    fn new(report: &DropReport) -> Self {
        Self { common: CommonEvents::new(report), own: E::new(report) }
    }

    fn off(&self, listener: ListenerId) -> bool {
        self.own.off(listener) || self.common.off(listener)
    }

    fn clear(&self) {
        self.own.clear();
        self.common.clear();
    }
}

impl<P: PeerId, E> Events<P, E> {
    /// Calls the listeners of an event, and reports those that panic. Says whether there was any.
    pub(crate) fn fire<L: ?Sized>(
        &self,
        event: &EventList<L>,
        name: &str,
        peer: Option<P>,
        call: impl Fn(&L),
    ) -> bool {
        event.fire(call, |panic| self.report_panic(name, peer, panic))
    }

    pub(super) fn report_message_error(&self, error: &MessageError, from: P) {
        let taken = self.fire(&self.common.message_error, "the message error event", Some(from), |call| {
            call(error, from)
        });
        if !taken {
            let client = from.client_id().map(ClientId::get);
            tracing::warn!(client, %error, "a message could not be dispatched");
        }
    }

    pub(crate) fn report_error(&self, error: &Error) {
        if !self.fire_error(error) {
            tracing::warn!(error = error as &dyn std::error::Error, "an error of the {}", P::ENDPOINT);
        }
    }

    /// Reports an error, and logs it even if a listener takes it: an operator has to see it.
    pub(crate) fn report_to_operator(&self, error: &Error) {
        tracing::warn!(error = error as &dyn std::error::Error, "an error of the {}", P::ENDPOINT);
        self.fire_error(error);
    }

    fn fire_error(&self, error: &Error) -> bool {
        // Such a panic can't be reported as an error again.
        self.common.error.fire(
            |call| call(error),
            |panic| tracing::error!(panic, "a listener of the error event panicked"),
        )
    }

    pub(super) fn report_close(&self) {
        self.fire(&self.common.close, "the close event", None, |call| call());
    }

    pub(crate) fn report_panic(&self, listens_for: &str, peer: Option<P>, panic: String) {
        let client_id = peer.and_then(PeerId::client_id);
        self.report_error(&Error::ListenerPanicked { listens_for: listens_for.to_owned(), client_id, panic });
    }
}
