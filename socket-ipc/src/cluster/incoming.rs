//! The broadcasts and beats of the other nodes, on their way to the clients of this one.
//!
//! One task takes them from the NATS client at once, so that signs of life are seen however slow the clients are;
//! another waits for room at the clients. What would wait beyond the bound between them is dropped, and counted with the
//! next beat of its node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::members::Beat;
use super::node::NodeId;
use super::shared::Shared;
use crate::sync::lock;
use crate::topic::TopicName;
use crate::wire::{EnvelopeKind, Wire};

/// What a message costs in the queue beside its payload, in bytes.
const COST: usize = 256;

/// What arrived, and is not delivered yet.
enum Arrived {
    Broadcasts { node: NodeId, topic: String, message: Message },
    Beat { node: NodeId, beat: Beat },
}

/// Takes broadcasts and beats from the NATS client.
pub(super) async fn run(shared: &Arc<Shared>, mut messages: Subscriber) {
    let (queue, arrived) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let (delivering, count) = (Arc::clone(shared), Arc::clone(&queued));
    shared.spawn(async move { deliver_all(&delivering, arrived, &count).await });
    while let Some(message) = messages.next().await {
        take(shared, message, &queue, &queued);
    }
}

fn take(shared: &Shared, message: Message, queue: &mpsc::UnboundedSender<Arrived>, queued: &AtomicUsize) {
    let Some((node, topic)) = shared.subjects.read_broadcast(&message.subject) else {
        return shared.hub.report_refused(&message.subject, "it names no node");
    };
    if node == shared.node {
        return shared.hub.report_refused(&message.subject, "it is not from this node, whose subject it has");
    }
    let arrived = match topic {
        Some(topic) => {
            let cost = message.payload.len() + COST;
            if queued.load(Ordering::Acquire) + cost > shared.incoming_len {
                shared.sign(&node);
                return;
            }
            queued.fetch_add(cost, Ordering::AcqRel);
            Arrived::Broadcasts { node, topic, message }
        }
        None => match serde_json::from_slice(&message.payload) {
            Ok(beat) => Arrived::Beat { node, beat },
            Err(error) => {
                return shared.hub.report_refused(&message.subject, format!("it is no beat: {error}"));
            }
        },
    };
    let (Arrived::Broadcasts { node, .. } | Arrived::Beat { node, .. }) = &arrived;
    shared.sign(node);
    // An error means that everything ends.
    let _ = queue.send(arrived);
}

async fn deliver_all(shared: &Shared, mut arrived: mpsc::UnboundedReceiver<Arrived>, queued: &AtomicUsize) {
    while let Some(arrived) = arrived.recv().await {
        match arrived {
            Arrived::Broadcasts { node, topic, message } => {
                let count = deliver(shared, &topic, &message).await;
                lock(&shared.members).received(&node, count);
                queued.fetch_sub(message.payload.len() + COST, Ordering::AcqRel);
            }
            Arrived::Beat { node, beat } => {
                let is_goodbye = beat.goodbye;
                let event = lock(&shared.members).beat(&node, beat);
                event.into_iter().for_each(|event| shared.hub.report(event));
                if is_goodbye {
                    shared.node_left(&node);
                }
            }
        }
    }
}

/// Broadcasts the lines of a message to the clients of this node. Returns how many they are.
async fn deliver(shared: &Shared, topic: &str, message: &Message) -> u64 {
    let mut count = 0;
    for line in message.payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        count += 1;
        if let Err(reason) = deliver_line(shared, topic, line).await {
            shared.hub.report_refused(&message.subject, reason);
        }
    }
    count
}

async fn deliver_line(shared: &Shared, topic: &str, line: &[u8]) -> Result<(), String> {
    let envelope =
        Wire::JSON_LINES.decode(line).map_err(|error| format!("a line is no envelope: {error}"))?;
    if envelope.topic != topic {
        return Err(format!("a line is of the topic `{}`", envelope.topic));
    }
    if envelope.kind != EnvelopeKind::Message {
        return Err("a line is no plain message".to_owned());
    }
    let text: &RawValue =
        serde_json::from_str(envelope.message.as_str()).map_err(|error| error.to_string())?;
    let line = shared.server.encode(topic, text).map_err(|error| error.to_string())?;
    let sent = shared.server.broadcast_line_async(TopicName::AtRunTime(topic), &line).await;
    sent.map(drop).map_err(|error| error.to_string())
}

impl Shared {
    /// A node has given a sign of life.
    fn sign(&self, node: &NodeId) {
        let event = lock(&self.members).sign(node, Instant::now());
        event.into_iter().for_each(|event| self.hub.report(event));
    }

    /// A node has said goodbye.
    fn node_left(&self, node: &NodeId) {
        let event = lock(&self.members).goodbye(node);
        self.node_gone(node);
        event.into_iter().for_each(|event| self.hub.report(event));
    }

    /// Ends what a node that is gone has requested.
    pub(super) fn node_gone(&self, node: &NodeId) {
        self.taken.cancel_of(node);
        self.offers.forget(node);
    }
}
