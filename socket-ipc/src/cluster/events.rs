//! What happens in a domain, as streams of events.

use std::sync::{Arc, Mutex};

use super::node::NodeId;
use crate::events::stream::{EventSender, EventStream, event_stream};
use crate::sync::lock;

/// What happens in a domain: the items of [`Cluster::events`](super::Cluster::events).
///
/// While no stream of events is open, an event that tells of a loss or a mistake is a `tracing` warning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// A node has joined, or is there again.
    NodeUp(NodeId),
    /// A node has left, or gave no sign of life for the silence limit.
    NodeDown(NodeId),
    /// The connection to the NATS server is lost. It is made again by itself.
    LinkDown,
    /// The connection to the NATS server is there again.
    LinkUp,
    /// Broadcasts of a node did not arrive here: a NATS server or a node was too slow, or the connection was lost.
    Lagged {
        /// The node that sent them.
        node: NodeId,
        /// How many they are, exactly.
        count: u64,
    },
    /// Messages of a node to a group that has members here did not arrive, for the same reasons.
    GroupLagged {
        /// The node that sent them.
        node: NodeId,
        /// The group.
        group: String,
        /// How many they are, exactly.
        count: u64,
    },
    /// Something that arrived is not what a node sends, and was not acted on.
    Refused {
        /// The NATS subject that it came under.
        subject: String,
        /// Why it was refused.
        reason: String,
    },
    /// The NATS server, or its client, reports an error: a missing permission, for example.
    Error(String),
    /// Events that had no room in this stream, because earlier ones had not been read.
    EventsLagged(u64),
}

/// The event streams of a node.
#[derive(Default)]
pub(super) struct Hub {
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    senders: Vec<Arc<EventSender<ClusterEvent>>>,
    /// The node has left: there are no further events.
    ended: bool,
}

impl Hub {
    pub(super) fn stream(&self) -> EventStream<ClusterEvent> {
        let (sender, stream) = event_stream(ClusterEvent::EventsLagged);
        let mut streams = lock(&self.streams);
        streams.senders.retain(|sender| sender.is_read());
        if !streams.ended {
            streams.senders.push(sender);
        }
        stream
    }

    pub(super) fn report(&self, event: ClusterEvent) {
        let readers: Vec<_> = {
            let mut streams = lock(&self.streams);
            streams.senders.retain(|sender| sender.is_read());
            streams.senders.clone()
        };
        if readers.is_empty() {
            return log(&event);
        }
        // Without the lock: a push wakes the reader, which is foreign code.
        for reader in readers {
            reader.push(event.clone());
        }
    }

    pub(super) fn report_refused(&self, subject: &str, reason: impl Into<String>) {
        self.report(ClusterEvent::Refused { subject: subject.to_owned(), reason: reason.into() });
    }

    /// Ends all streams, and those that are made from now on.
    pub(super) fn end(&self) {
        let ended =
            std::mem::replace(&mut *lock(&self.streams), Streams { senders: Vec::new(), ended: true });
        drop(ended);
    }
}

fn log(event: &ClusterEvent) {
    match event {
        ClusterEvent::NodeUp(node) => tracing::debug!(%node, "a node is up"),
        ClusterEvent::NodeDown(node) => tracing::warn!(%node, "a node is down"),
        ClusterEvent::LinkDown => tracing::warn!("the connection to the NATS server is lost"),
        ClusterEvent::LinkUp => tracing::warn!("the connection to the NATS server is there again"),
        ClusterEvent::Lagged { node, count } => {
            tracing::warn!(%node, count, "broadcasts of a node did not arrive")
        }
        ClusterEvent::GroupLagged { node, group, count } => {
            tracing::warn!(%node, group, count, "messages of a node to a group did not arrive")
        }
        ClusterEvent::Refused { subject, reason } => {
            tracing::warn!(subject, reason, "refused what came over NATS")
        }
        ClusterEvent::Error(error) => tracing::warn!(error, "an error of NATS"),
        ClusterEvent::EventsLagged(_) => {}
    }
}
