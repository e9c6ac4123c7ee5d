//! A session that a test polls by hand, to see what it does in a step and in a turn.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use super::fake::{Fake, Stream};
use crate::connection::session::Session;
use crate::connection::{
    EndpointState as _, InboxBudget, Limits, Link, Outbox, OutboxBudget, PendingRequests,
};
use crate::events::CloseCause;
use crate::metrics::Metrics;
use crate::sync::lock;

pub(super) const NOTE: &str = "{\"topic\":\"note\",\"message\":null}\n";
pub(super) const WAIT: &str = "{\"topic\":\"wait\",\"message\":null}\n";
pub(super) const REQUEST: &str = "{\"topic\":\"request\",\"message\":null,\"id\":1}\n";
pub(super) const STREAM: &str = "{\"topic\":\"stream\",\"message\":null,\"window\":64,\"id\":2}\n";
pub(super) const CANCEL: &str = "{\"topic\":\"socket-ipc.cancel\",\"message\":1,\"re\":0}\n";
pub(super) const CANCEL_UNKNOWN: &str = "{\"topic\":\"socket-ipc.cancel\",\"message\":2,\"re\":0}\n";

/// A session, polled by hand.
pub(super) struct Scene {
    pub(super) session: Session<Stream, Fake>,
    pub(super) stream: Stream,
    pub(super) endpoint: Arc<Fake>,
    pub(super) link: Link,
}

impl Scene {
    pub(super) fn new(limits: Limits) -> Self {
        Self::with_inbox(limits, &InboxBudget::new(usize::MAX, usize::MAX))
    }

    /// A session that shares this budget with others.
    pub(super) fn with_inbox(limits: Limits, inbox: &Arc<InboxBudget>) -> Self {
        let budget = OutboxBudget::new(usize::MAX);
        let outbox = Arc::new(Outbox::new(limits.outbox_len, budget, Metrics::new()));
        let pending_requests = PendingRequests::new(1, None, Handle::current());
        let endpoint = Fake::with_inbox(limits, &outbox, Arc::clone(inbox));
        let (stream, link) = (Stream::default(), Link { outbox, pending_requests });
        let session = Session::new(stream.clone(), Arc::clone(&endpoint), (), link.clone());
        Self { session, stream, endpoint, link }
    }

    pub(super) fn poll(&mut self) -> Poll<CloseCause> {
        self.session.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// These bytes arrive.
    pub(super) fn arrive(&mut self, text: &str) {
        lock(&self.stream.0).arriving.extend(text.bytes());
    }

    /// Polls once, after these bytes have arrived.
    pub(super) fn after(&mut self, text: &str) {
        self.arrive(text);
        assert!(self.poll().is_pending());
    }

    /// How many messages of `note` were dispatched.
    pub(super) fn noted(&self) -> usize {
        *lock(&self.endpoint.noted)
    }

    /// How many bytes wait in the socket.
    pub(super) fn unread(&self) -> usize {
        lock(&self.stream.0).arriving.len()
    }

    /// What was written, as text.
    pub(super) fn written(&self) -> String {
        String::from_utf8(lock(&self.stream.0).written.clone()).unwrap()
    }

    /// The bytes of the inbox budget that are counted.
    pub(super) fn used(&self) -> usize {
        self.endpoint.inbox().used()
    }
}
