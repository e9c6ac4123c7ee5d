//! The broadcasts and beats of the other nodes, on their way to the clients of this one.
//!
//! Those to groups come in tasks of their own, a group each: see `group_receiver`. All are delivered by one task.
//!
//! One task takes them from the NATS client at once, so that signs of life are seen however slow the clients are;
//! another waits for room at the clients. What would wait beyond the bound between them is dropped, and counted with the
//! next beat of its node that has room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::group_counts::GroupBeat;
use super::group_receiver::Subscribed;
use super::members::{BEAT_LEN, Beat, NoRoom};
use super::node::NodeId;
use super::shared::Shared;
use crate::sync::lock;
use crate::topic::TopicName;
use crate::wire::{EnvelopeKind, Wire};

/// What a message costs in the queue beside its payload, in bytes.
const COST: usize = 256;

/// How many bytes of beats may wait beyond the limit: that of a node that leaves is its last.
const BEATS_LEN: usize = 1024 * 1024;

/// What arrived, and is not delivered yet.
pub(super) enum Arrived {
    Broadcasts {
        node: NodeId,
        topic: String,
        message: Message,
    },
    Beat {
        node: NodeId,
        beat: Beat,
    },
    ToGroup {
        group: Arc<Subscribed>,
        node: NodeId,
        topic: String,
        message: Message,
    },
    GroupBeat {
        group: Arc<Subscribed>,
        node: NodeId,
        beat: GroupBeat,
    },
    /// From here on this node is subscribed to a group.
    Subscribed(Arc<Subscribed>),
}

/// The queue in front of the task that delivers, with what each entry costs.
#[derive(Clone)]
pub(super) struct Queue {
    entries: mpsc::UnboundedSender<(usize, Arrived)>,
    len: Arc<AtomicUsize>,
    limit: usize,
}

impl Queue {
    /// Makes the queue, and starts the task that delivers what is in it.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (entries, arrived) = mpsc::unbounded_channel();
        let queue = Self { entries, len: Arc::default(), limit: shared.incoming_len };
        let (delivering, len) = (Arc::clone(shared), Arc::clone(&queue.len));
        shared.spawn(async move { deliver_all(&delivering, arrived, &len).await });
        queue
    }

    /// Queues what arrived, with a payload of this length, unless it has no room: a broadcast is counted then, and the next
    /// beat says what this one does.
    pub(super) fn push(&self, payload: usize, arrived: Arrived) {
        let cost = payload + COST;
        let room = match arrived {
            Arrived::Broadcasts { .. } | Arrived::ToGroup { .. } => self.limit,
            _ => self.limit.saturating_add(BEATS_LEN),
        };
        let len = self.len.load(Ordering::Acquire);
        if len > 0 && len + cost > room {
            return;
        }
        self.len.fetch_add(cost, Ordering::AcqRel);
        // An error means that everything ends.
        let _ = self.entries.send((cost, arrived));
    }
}

/// Takes broadcasts and beats from the NATS client. `placed` gives the groups that this node is now subscribed to: they
/// take their place behind everything that had come from the NATS server by then.
pub(super) async fn run(
    shared: &Shared,
    mut messages: Subscriber,
    queue: &Queue,
    mut placed: mpsc::Receiver<Vec<Arc<Subscribed>>>,
) {
    loop {
        tokio::select! {
            biased;
            message = messages.next() => match message {
                Some(message) => take(shared, message, queue),
                None => return,
            },
            Some(groups) = placed.recv() => {
                groups.into_iter().for_each(|group| queue.push(0, Arrived::Subscribed(group)));
            }
        }
    }
}

fn take(shared: &Shared, message: Message, queue: &Queue) {
    let Some((node, topic)) = shared.subjects.read_broadcast(&message.subject) else {
        return shared.hub.report_refused(&message.subject, "it names no node");
    };
    if node == shared.node {
        return shared.hub.report_refused(&message.subject, "it is not from this node, whose subject it has");
    }
    let len = message.payload.len();
    let Some(topic) = topic else {
        let beat = read_beat(&message.payload).and_then(|beat| {
            shared.sign(&node).map_err(|no_room| no_room.to_string())?;
            Ok(beat)
        });
        return match beat {
            Ok(beat) => queue.push(len, Arrived::Beat { node, beat }),
            Err(reason) => shared.hub.report_refused(&message.subject, reason),
        };
    };
    // Its beats tell of a node that has no room.
    let _ = shared.sign(&node);
    queue.push(len, Arrived::Broadcasts { node, topic, message });
}

pub(super) fn read_beat(payload: &[u8]) -> Result<Beat, String> {
    if payload.len() > BEAT_LEN {
        return Err(format!("it is a beat of {} bytes; {BEAT_LEN} are allowed", payload.len()));
    }
    serde_json::from_slice(payload).map_err(|error| format!("it is no beat: {error}"))
}

async fn deliver_all(
    shared: &Shared,
    mut arrived: mpsc::UnboundedReceiver<(usize, Arrived)>,
    len: &AtomicUsize,
) {
    while let Some((cost, arrived)) = arrived.recv().await {
        match arrived {
            Arrived::Broadcasts { node, topic, message } => {
                let count = deliver(shared, None, &topic, &message).await;
                lock(&shared.members).received(&node, count);
            }
            Arrived::ToGroup { group, .. } | Arrived::GroupBeat { group, .. } if group.has_ended() => {}
            Arrived::ToGroup { group, node, topic, message } => {
                let count = deliver(shared, Some(&group), &topic, &message).await;
                let mut members = lock(&shared.members);
                if !group.has_ended() {
                    members.group_received(&node, &group.name, count);
                }
            }
            Arrived::GroupBeat { group, node, beat } => {
                let event = {
                    let mut members = lock(&shared.members);
                    let is_open = !group.has_ended();
                    is_open.then(|| members.group_beat(&node, &group.name, beat, group.place())).flatten()
                };
                event.into_iter().for_each(|event| shared.hub.report(event));
            }
            Arrived::Subscribed(group) => group.set_place(lock(&shared.members).next_place()),
            Arrived::Beat { node, beat } => {
                let is_goodbye = beat.goodbye;
                let event = lock(&shared.members).beat(&node, beat);
                event.into_iter().for_each(|event| shared.hub.report(event));
                if is_goodbye {
                    shared.node_left(&node);
                }
            }
        }
        len.fetch_sub(cost, Ordering::AcqRel);
    }
}

/// Broadcasts the lines of a message to the clients of this node, or to the members of a group. Returns how many lines
/// they are.
async fn deliver(shared: &Shared, group: Option<&Subscribed>, topic: &str, message: &Message) -> u64 {
    let mut count = 0;
    for line in message.payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        count += 1;
        if let Err(reason) = deliver_line(shared, group, topic, line).await {
            shared.hub.report_refused(&message.subject, reason);
        }
    }
    count
}

async fn deliver_line(
    shared: &Shared,
    group: Option<&Subscribed>,
    topic: &str,
    line: &[u8],
) -> Result<(), String> {
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
    let topic = TopicName::AtRunTime(topic);
    let sent = match group {
        None => shared.server.broadcast_line_async(topic, &line).await,
        Some(group) => group.members.broadcast_line_async(topic, &line).await,
    };
    sent.map(drop).map_err(|error| error.to_string())
}

impl Shared {
    /// A node has given a sign of life.
    fn sign(&self, node: &NodeId) -> Result<(), NoRoom> {
        let event = lock(&self.members).sign(node, Instant::now())?;
        event.into_iter().for_each(|event| self.hub.report(event));
        Ok(())
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
