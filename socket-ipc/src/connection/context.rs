//! The receiver of the router's reports, one for each connection.

use std::sync::Arc;

use super::reply::{Outcome, reply};
use super::{EndpointState, Limits, Link};
use crate::error::MessageError;
use crate::error::error_reply::ErrorReply;
use crate::router::Report;
use crate::topic::TopicName;
use crate::wire::{ReplyTo, RequestId};

/// The endpoint of a connection, and the link of the connection.
pub(super) struct ConnectionContext<E: EndpointState> {
    pub(super) endpoint: Arc<E>,
    pub(super) from: E::From,
    pub(super) link: Link,
}

impl<E: EndpointState> ConnectionContext<E> {
    /// Tells endpoints apart.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.endpoint).addr()
    }

    pub(super) fn limits(&self) -> &Limits {
        self.endpoint.limits()
    }
}

// Not derived: the endpoint itself need not be `Clone`.
impl<E: EndpointState> Clone for ConnectionContext<E> {
    fn clone(&self) -> Self {
        Self { endpoint: Arc::clone(&self.endpoint), from: self.from, link: self.link.clone() }
    }
}

impl<E: EndpointState> Report<E::From> for ConnectionContext<E> {
    fn message_error(&self, error: MessageError, from: E::From) {
        self.endpoint.message_error(error, from);
    }

    fn listener_panicked(&self, listens_for: String, from: E::From, panic: String) {
        self.endpoint.listener_panicked(listens_for, from, panic);
    }

    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], from: E::From) {
        if !re.number().is_some_and(|number| self.link.pending_requests.resolve(number, envelope)) {
            self.endpoint.late_reply(re, topic, from);
        }
    }

    #[cfg(feature = "otel")]
    fn trace(&self, trace: Option<&str>, from: E::From) -> crate::trace::Dispatching {
        let trace = trace.filter(|_| self.limits().accepts_traces);
        crate::trace::dispatching(trace, trace.is_some() && self.endpoint.is_own_user(from))
    }

    fn send_error_reply(&self, to: &ReplyTo, topic: &str, error_reply: ErrorReply, _from: E::From) {
        let outcome = Err(error_reply);
        let outcome = Outcome::<()>::untyped(&outcome);
        reply(&*self.endpoint, &self.link.outbox, to, TopicName::AtRunTime(topic), outcome);
    }
}
