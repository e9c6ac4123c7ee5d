//! Where the router of one connection reports to.

use std::sync::Arc;

use super::reply::reply;
use super::{Endpoint, Limits, Link};
use crate::error::MessageError;
use crate::refusal::Refusal;
use crate::router::Report;
use crate::topic::TopicName;
use crate::wire::{Kind, RequestId};

/// The endpoint of a connection, with what others hold of the connection itself.
pub(super) struct Reporter<E: Endpoint> {
    pub(super) endpoint: Arc<E>,
    pub(super) from: E::From,
    pub(super) link: Link,
}

impl<E: Endpoint> Reporter<E> {
    /// Tells endpoints apart.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.endpoint).addr()
    }

    pub(super) fn limits(&self) -> &Limits {
        self.endpoint.limits()
    }
}

// Not derived: the endpoint itself need not be `Clone`.
impl<E: Endpoint> Clone for Reporter<E> {
    fn clone(&self) -> Self {
        Self { endpoint: Arc::clone(&self.endpoint), from: self.from, link: self.link.clone() }
    }
}

impl<E: Endpoint> Report<E::From> for Reporter<E> {
    fn message_error(&self, error: MessageError, from: E::From) {
        self.endpoint.message_error(error, from);
    }

    fn listener_panicked(&self, heard: String, from: E::From, panic: String) {
        self.endpoint.listener_panicked(heard, from, panic);
    }

    fn answered(&self, re: &RequestId, topic: &str, envelope: &[u8], from: E::From) {
        if !re.number().is_some_and(|number| self.link.questions.answered(number, envelope)) {
            self.endpoint.late_answer(re, topic, from);
        }
    }

    fn refuse(&self, kind: &Kind, topic: &str, refusal: Refusal, _from: E::From) {
        reply::<()>(&*self.endpoint, &self.link.outbox, kind, TopicName::AtRunTime(topic), &Err(refusal));
    }
}
