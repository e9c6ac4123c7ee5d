//! Subscribes to the groups that have members on this node, and takes what other nodes broadcast to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::events::ClusterEvent;
use super::group_subscriptions::Change;
use super::incoming::{Arrived, Queue};
use super::requests::Sent;
use super::shared::Shared;
use crate::server::ClientGroup;
use crate::sync::lock;

/// The longest count of a group, in bytes.
pub(super) const GROUP_BEAT_LEN: usize = 256;

/// How long to wait where too many requests are pending to ask the NATS server for a confirmation.
const AGAIN: Duration = Duration::from_millis(20);

/// A group that this node is subscribed to.
pub(super) struct Subscribed {
    pub(super) name: Arc<str>,
    /// Its members on this node.
    pub(super) members: ClientGroup,
    /// There is no subscription any more. Set under the lock of the members of the domain.
    ended: AtomicBool,
    /// The place of the subscription in the order of what arrived; 0 before it is confirmed.
    place: AtomicU64,
}

impl Subscribed {
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Where the subscription stands in the order of what arrived: what is behind it was sent to this node, too.
    pub(super) fn place(&self) -> Option<u64> {
        Some(self.place.load(Ordering::Acquire)).filter(|place| *place > 0)
    }

    pub(super) fn set_place(&self, place: u64) {
        self.place.store(place, Ordering::Release);
    }
}

/// A subscription, and the task that takes what arrives.
struct Open {
    group: Arc<Subscribed>,
    task: AbortHandle,
    /// Its place in the order of what arrived was asked for.
    is_placed: bool,
}

/// Follows the groups of the server. `placed` takes those that are confirmed.
pub(super) async fn run(shared: &Arc<Shared>, queue: &Queue, placed: &mpsc::Sender<Vec<Arc<Subscribed>>>) {
    let mut open: HashMap<Arc<str>, Open> = HashMap::new();
    let (mut link, mut is_confirmed) = (shared.link.watch(), true);
    loop {
        tokio::select! {
            () = shared.groups.changed.notified() => {}
            // An error is not possible: the sender is here.
            _ = link.changed() => {
                // The NATS client subscribes again by itself.
                shared.groups.unconfirm_all();
                is_confirmed = false;
            }
        }
        shared.groups.wake();
        if !*link.borrow_and_update() {
            // What changes meanwhile waits.
            continue;
        }
        for (name, change) in shared.groups.take_changes() {
            if let Some(Open { group, task, .. }) = open.remove(&name) {
                end(shared, &group);
                task.abort();
            }
            if change == Change::Made {
                is_confirmed = false;
                if let Some(subscription) = subscribe(shared, &name, queue).await {
                    open.insert(name, subscription);
                }
            }
        }
        if is_confirmed {
            continue;
        }
        if !confirmed(shared).await {
            // Where the connection is lost, it is tried again once there is one.
            if shared.link.is_up() && !shared.is_leaving() {
                tokio::time::sleep(AGAIN).await;
                shared.groups.changed.notify_one();
            }
            continue;
        }
        is_confirmed = true;
        let new = open.values_mut().filter_map(Open::take_unplaced).collect();
        // Without room they have no place: what is counted of them begins with the first count that is told.
        let _ = placed.try_send(new);
        shared.groups.confirm(open.keys().map(|name| (Arc::clone(name), shared.subjects.group(name))));
    }
}

impl Open {
    /// The group, if its place in the order of what arrived was not asked for yet.
    fn take_unplaced(&mut self) -> Option<Arc<Subscribed>> {
        (!std::mem::replace(&mut self.is_placed, true)).then(|| Arc::clone(&self.group))
    }
}

/// Ends a subscription: what is still on its way is for members that have left.
fn end(shared: &Shared, group: &Subscribed) {
    let mut members = lock(&shared.members);
    group.ended.store(true, Ordering::Release);
    members.forget_group(&group.name);
}

async fn subscribe(shared: &Arc<Shared>, name: &Arc<str>, queue: &Queue) -> Option<Open> {
    let messages = match shared.nats.subscribe(shared.subjects.group(name)).await {
        Ok(messages) => messages,
        Err(error) => {
            let error = format!("cannot subscribe to the group `{name}`: {error}");
            shared.hub.report(ClusterEvent::Error(error));
            shared.groups.refuse(name);
            return None;
        }
    };
    let group = Arc::new(Subscribed {
        name: Arc::clone(name),
        members: shared.server.group(name),
        ended: AtomicBool::new(false),
        place: AtomicU64::new(0),
    });
    let (taking, of, queue) = (Arc::clone(shared), Arc::clone(&group), queue.clone());
    let task = shared.spawn(async move { take_all(&taking, &of, messages, &queue).await });
    Some(Open { group, task, is_placed: false })
}

/// Waits until the NATS server has acted on what this node has subscribed to: it then replies to a request that nobody
/// takes. `false` where the connection is lost meanwhile, or the node leaves.
async fn confirmed(shared: &Shared) -> bool {
    // The reply and an error come over two channels. Once the second reply is here, so is the error.
    for _ in 0..2 {
        match shared.probe().await {
            Sent::LinkDown | Sent::Left => return false,
            // A program that is subscribed to everything has it. The NATS server has acted on it long ago, unless it
            // stands still.
            Sent::Lost { .. } => return true,
            _ => {}
        }
    }
    true
}

async fn take_all(shared: &Shared, group: &Arc<Subscribed>, mut messages: Subscriber, queue: &Queue) {
    while let Some(message) = messages.next().await {
        let subject = message.subject.clone();
        if let Err(reason) = take(shared, group, message, queue) {
            shared.hub.report_refused(&subject, reason);
        }
    }
}

fn take(shared: &Shared, group: &Arc<Subscribed>, message: Message, queue: &Queue) -> Result<(), String> {
    let (node, name, topic) =
        shared.subjects.read_group(&message.subject).ok_or("it names no node and topic of the group")?;
    if name != *group.name {
        return Err("it names another group".to_owned());
    }
    if node == shared.node {
        return Err("it is not from this node, whose subject it has".to_owned());
    }
    let (len, group) = (message.payload.len(), Arc::clone(group));
    let arrived = match topic {
        Some(topic) => Arrived::ToGroup { group, node, topic, message },
        None if len > GROUP_BEAT_LEN => {
            return Err(format!("it is a count of {len} bytes; {GROUP_BEAT_LEN} are allowed"));
        }
        None => {
            let beat = serde_json::from_slice(&message.payload);
            Arrived::GroupBeat {
                group,
                node,
                beat: beat.map_err(|error| format!("it is no count: {error}"))?,
            }
        }
    };
    // Not a sign of life: it may come behind the goodbye of its node.
    queue.push(len, arrived);
    Ok(())
}
