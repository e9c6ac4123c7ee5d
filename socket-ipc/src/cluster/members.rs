//! The other nodes of the domain: which of them are up, and how many of their broadcasts arrived. No I/O, no clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::events::ClusterEvent;
use super::group_counts::{GroupBeat, GroupCounts, MAX_COUNTED};
use super::node::{Node, NodeId};

/// How many nodes are remembered, those that are down included.
const MAX_NODES: usize = 4096;

/// How many of them may have one name. A program that may speak for one name pushes out no node of another, whatever
/// random parts it makes up.
const MAX_OF_NAME: usize = 256;

/// How many counts of groups the nodes of one name may have together.
const MAX_COUNTED_OF_NAME: usize = 4 * MAX_COUNTED;

/// How many counts of nodes that are not known yet are kept.
const MAX_EARLY: usize = 1024;

/// The longest beat, in bytes.
pub(super) const BEAT_LEN: usize = 64 * 1024;

/// What a node says of itself every second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// Its own number: they count from 1. 0 where the node does not say.
    #[serde(default)]
    pub(super) number: u64,
    /// How many broadcasts it has sent.
    pub(super) sequence: u64,
    /// How many clients are connected to it.
    pub(super) clients: u64,
    /// The topics that it offers.
    #[serde(default)]
    pub(super) offers: Vec<String>,
    /// How many broadcasts of the other nodes did not arrive there. Most beats have none, and are shorter without it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) lag: u64,
    /// It leaves.
    #[serde(default)]
    pub(super) goodbye: bool,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A node is not remembered: too many are up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
    #[error(
        "{MAX_OF_NAME} nodes of this name are up, the most of one name that are remembered: name them apart"
    )]
    OfName,
    #[error("{MAX_NODES} nodes are up, the most that are remembered")]
    OfAll,
}

#[derive(Default)]
pub(super) struct Members {
    nodes: HashMap<NodeId, Member>,
    /// Messages to groups that arrived before the first sign of life of their node: those come another way. Anyone may
    /// make up nodes, so the last ones are kept.
    early: Vec<(NodeId, Arc<str>, u64)>,
    /// The last place in the order of what arrived.
    place: u64,
    /// How many broadcasts did not arrive, also of nodes that are forgotten.
    lag: u64,
}

struct Member {
    up: bool,
    last_sign: Instant,
    /// The sequence number of the last beat; `None` before the first.
    sequence: Option<u64>,
    /// How many broadcasts arrived since that beat.
    received: u64,
    lagged: u64,
    clients: u64,
    offers: Vec<String>,
    groups: GroupCounts,
    /// It said goodbye: what is still on its way from it is counted.
    has_left: bool,
    lag: u64,
}

impl Member {
    fn described(&self, id: &NodeId) -> Node {
        Node {
            id: id.clone(),
            clients: self.clients,
            offers: self.offers.clone(),
            broadcasts: self.sequence.unwrap_or_default(),
            lagged: self.lagged,
            lag: self.lag,
        }
    }
}

impl Members {
    /// Notes a sign of life. Returns what is to be reported.
    pub(super) fn sign(&mut self, node: &NodeId, now: Instant) -> Result<Option<ClusterEvent>, NoRoom> {
        if let Some(member) = self.nodes.get_mut(node) {
            (member.last_sign, member.has_left) = (now, false);
            let was_up = std::mem::replace(&mut member.up, true);
            return Ok((!was_up).then(|| ClusterEvent::NodeUp(node.clone())));
        }
        self.make_room(node)?;
        let mut member = Member {
            up: true,
            last_sign: now,
            sequence: None,
            received: 0,
            lagged: 0,
            clients: 0,
            offers: Vec::new(),
            groups: GroupCounts::new(MAX_COUNTED),
            has_left: false,
            lag: 0,
        };
        for (_, group, count) in self.early.extract_if(.., |(other, ..)| other == node) {
            member.groups.received(&group, count);
        }
        self.nodes.insert(node.clone(), member);
        Ok(Some(ClusterEvent::NodeUp(node.clone())))
    }

    /// Counts broadcasts of a node that arrived.
    pub(super) fn received(&mut self, node: &NodeId, count: u64) {
        if let Some(member) = self.nodes.get_mut(node) {
            member.received += count;
        }
    }

    /// Compares what arrived with what a node says that it sent. Returns what is to be reported.
    pub(super) fn beat(&mut self, node: &NodeId, beat: Beat) -> Option<ClusterEvent> {
        let place = self.next_place();
        let member = self.nodes.get_mut(node)?;
        member.groups.beat(beat.number, place);
        (member.clients, member.offers, member.lag) = (beat.clients, beat.offers, beat.lag);
        let received = std::mem::take(&mut member.received);
        // What came before the first beat is not known: this node may have joined in between.
        let before = member.sequence.replace(beat.sequence)?;
        let count = beat.sequence.saturating_sub(before).saturating_sub(received);
        // A node may say anything.
        member.lagged = member.lagged.saturating_add(count);
        self.lag = self.lag.saturating_add(count);
        (count > 0).then(|| ClusterEvent::Lagged { node: node.clone(), count })
    }

    /// The place of what arrives next.
    pub(super) fn next_place(&mut self) -> u64 {
        self.place += 1;
        self.place
    }

    /// Counts messages of a node to a group that arrived.
    pub(super) fn group_received(&mut self, node: &NodeId, group: &Arc<str>, count: u64) {
        if let Some(groups) = self.groups_of(node, group) {
            return groups.received(group, count);
        }
        let known = self.early.iter_mut().find(|(other, of, _)| (other, of) == (node, group));
        if let Some((_, _, before)) = known {
            *before = before.saturating_add(count);
            return;
        }
        if self.early.len() >= MAX_EARLY {
            self.early.remove(0);
        }
        self.early.push((node.clone(), Arc::clone(group), count));
    }

    /// Compares what arrived for a group with what a node says that it sent. `subscribed` is the place of the
    /// subscription. Returns what is to be reported.
    pub(super) fn group_beat(
        &mut self,
        node: &NodeId,
        group: &Arc<str>,
        beat: GroupBeat,
        subscribed: Option<u64>,
    ) -> Option<ClusterEvent> {
        let count = self.groups_of(node, group)?.compare(group, beat, subscribed);
        let member = self.nodes.get_mut(node)?;
        member.lagged = member.lagged.saturating_add(count);
        self.lag = self.lag.saturating_add(count);
        let (node, group) = (node.clone(), group.to_string());
        (count > 0).then_some(ClusterEvent::GroupLagged { node, group, count })
    }

    /// There is no subscription to a group any more.
    pub(super) fn forget_group(&mut self, group: &str) {
        self.nodes.values_mut().for_each(|member| member.groups.forget(group));
        self.early.retain(|(_, of, _)| **of != *group);
    }

    /// The counts of a node, with room for one of this group: however many nodes of a name there are, their counts take
    /// no more.
    fn groups_of(&mut self, node: &NodeId, group: &str) -> Option<&mut GroupCounts> {
        let groups = &self.nodes.get(node)?.groups;
        let is_full = !groups.has(group) && groups.len() >= MAX_COUNTED_OF_NAME / MAX_OF_NAME && {
            let of_name = self.nodes.iter().filter(|(other, _)| other.name_token() == node.name_token());
            of_name.map(|(_, member)| member.groups.len()).sum::<usize>() >= MAX_COUNTED_OF_NAME
        };
        let groups = &mut self.nodes.get_mut(node)?.groups;
        if is_full {
            groups.forget_oldest();
        }
        Some(groups)
    }

    /// Notes that a node said goodbye. Returns what is to be reported.
    pub(super) fn goodbye(&mut self, node: &NodeId) -> Option<ClusterEvent> {
        let member = self.nodes.get_mut(node)?;
        member.has_left = true;
        std::mem::replace(&mut member.up, false).then(|| ClusterEvent::NodeDown(node.clone()))
    }

    /// The nodes that have been silent for longer than `limit`. From now on they are down. They are remembered: what
    /// one that comes back sent meanwhile counts. One that said goodbye is forgotten.
    pub(super) fn take_silent(&mut self, now: Instant, limit: Duration) -> Vec<NodeId> {
        let is_silent = |member: &Member| now.duration_since(member.last_sign) > limit;
        self.nodes.retain(|_, member| !(member.has_left && is_silent(member)));
        let silent = |member: &Member| member.up && is_silent(member);
        let silent = self.nodes.iter_mut().filter(|(_, member)| silent(member));
        silent
            .map(|(node, member)| {
                member.up = false;
                node.clone()
            })
            .collect()
    }

    /// Begins the silence of all nodes anew: nothing could be received until now.
    pub(super) fn excuse_all(&mut self, now: Instant) {
        for member in self.nodes.values_mut().filter(|member| member.up) {
            member.last_sign = now;
        }
    }

    /// Whether a node that is up offers a topic.
    pub(super) fn is_offered(&self, topic: &str) -> bool {
        let offers = |member: &Member| member.offers.iter().any(|other| other == topic);
        self.nodes.values().any(|member| member.up && offers(member))
    }

    pub(super) fn is_up(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|member| member.up)
    }

    /// The nodes that are up, in the order of their ids.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let up = self.nodes.iter().filter(|(_, member)| member.up);
        let mut nodes: Vec<_> = up.map(|(id, member)| member.described(id)).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        nodes
    }

    /// A node, if it is remembered.
    pub(super) fn node(&self, node: &NodeId) -> Option<Node> {
        self.nodes.get(node).map(|member| member.described(node))
    }

    /// How many broadcasts of the other nodes did not arrive here, in all.
    pub(super) fn lag(&self) -> u64 {
        self.lag
    }

    /// Forgets the node that is down for longest, if too many are remembered. One that is up stays: what it sends is
    /// counted.
    fn make_room(&mut self, node: &NodeId) -> Result<(), NoRoom> {
        let has_name = |other: &NodeId| other.name_token() == node.name_token();
        if self.nodes.keys().filter(|other| has_name(other)).count() >= MAX_OF_NAME {
            self.forget_oldest(has_name).ok_or(NoRoom::OfName)?;
        }
        if self.nodes.len() >= MAX_NODES {
            self.forget_oldest(|_| true).ok_or(NoRoom::OfAll)?;
        }
        Ok(())
    }

    fn forget_oldest(&mut self, is_one: impl Fn(&NodeId) -> bool) -> Option<()> {
        let down = self.nodes.iter().filter(|(node, member)| !member.up && is_one(node));
        let oldest = down.min_by_key(|(_, member)| member.last_sign)?.0.clone();
        self.nodes.remove(&oldest);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn node(number: u64) -> NodeId {
        NodeId::new("host", number)
    }

    fn beat(sequence: u64) -> Beat {
        Beat { sequence, ..Beat::default() }
    }

    #[test]
    fn beat_counts_exactly_what_did_not_arrive() {
        let (mut members, now, host) = (Members::default(), Instant::now(), node(1));
        let lagged = |count| Some(ClusterEvent::Lagged { node: host.clone(), count });
        assert_eq!(members.sign(&host, now), Ok(Some(ClusterEvent::NodeUp(host.clone()))));
        assert_eq!(members.sign(&host, now), Ok(None));
        members.received(&host, 5);
        assert_eq!(members.beat(&host, beat(1000)), None, "what came before is not known");
        members.received(&host, 7);
        assert_eq!(members.beat(&host, beat(1010)), lagged(3));
        assert_eq!(members.beat(&host, beat(1010)), None);
        members.received(&host, 9);
        assert_eq!(members.beat(&host, beat(1019)), None);
        // A number that goes backwards counts nothing as lost.
        assert_eq!(members.beat(&host, beat(3)), None);
        assert_eq!(members.beat(&host, beat(4)), lagged(1));
        assert_eq!(members.nodes()[0].lagged, 4);
    }

    #[test]
    fn messages_to_a_group_before_the_first_beat_count() {
        let (mut members, now, host, group) =
            (Members::default(), Instant::now(), node(1), Arc::from("room"));
        let subscribed = members.next_place();
        let count = |count: u64| {
            serde_json::from_str::<GroupBeat>(&format!(r#"{{"since":1,"epoch":1,"count":{count}}}"#)).unwrap()
        };
        for number in 2..1_000 {
            members.group_received(&node(number), &group, 1);
        }
        members.group_received(&host, &group, 2);
        members.group_received(&host, &group, 1);
        for number in 2..1_000 {
            members.group_received(&node(number), &group, 1);
        }
        members.sign(&host, now).unwrap();
        members.beat(&host, Beat { number: 1, ..beat(0) });
        let lagged = Some(ClusterEvent::GroupLagged { node: host.clone(), group: "room".into(), count: 1 });
        assert_eq!(members.group_beat(&host, &group, count(4), Some(subscribed)), lagged);
        assert_eq!(members.group_beat(&host, &group, count(4), Some(subscribed)), None);
        for number in 2_000..4_000 {
            members.group_received(&node(number), &group, 1);
        }
        assert_eq!(members.early.len(), MAX_EARLY);
        members.forget_group("room");
        assert!(members.early.is_empty());
    }

    #[test]
    fn silent_node_is_down_once_and_what_it_sent_meanwhile_counts() {
        let (mut members, start, host) = (Members::default(), Instant::now(), node(1));
        members.sign(&host, start).unwrap();
        members.beat(&host, beat(10));
        assert!(members.take_silent(start + 3 * SECOND, 3 * SECOND).is_empty());
        assert_eq!(members.take_silent(start + 4 * SECOND, 3 * SECOND), std::slice::from_ref(&host));
        assert!(members.take_silent(start + 5 * SECOND, 3 * SECOND).is_empty());
        assert!(members.nodes().is_empty() && !members.is_up(&host));
        assert_eq!(members.sign(&host, start + 6 * SECOND), Ok(Some(ClusterEvent::NodeUp(host.clone()))));
        assert_eq!(
            members.beat(&host, beat(30)),
            Some(ClusterEvent::Lagged { node: host.clone(), count: 20 })
        );
        members.excuse_all(start + 60 * SECOND);
        assert!(members.take_silent(start + 62 * SECOND, 3 * SECOND).is_empty());
        assert_eq!(members.goodbye(&host), Some(ClusterEvent::NodeDown(host.clone())));
        assert_eq!(members.goodbye(&host), None);
    }

    #[test]
    fn made_up_nodes_push_out_none_that_is_up() {
        let (mut members, start) = (Members::default(), Instant::now());
        let of_name = |name: usize, number: u64| NodeId::new(&format!("host-{name}"), number);
        for number in 0..MAX_OF_NAME as u64 {
            assert!(members.sign(&of_name(0, number), start).is_ok());
        }
        assert_eq!(members.sign(&of_name(0, 9999), start).unwrap_err(), NoRoom::OfName);
        assert!(members.sign(&of_name(1, 0), start).is_ok());
        // Those that are down make room, the oldest first, for their name.
        let later = start + 4 * SECOND;
        members.sign(&of_name(0, 1), later).unwrap();
        members.sign(&of_name(1, 0), later).unwrap();
        assert_eq!(members.take_silent(later, 3 * SECOND).len(), MAX_OF_NAME - 1);
        assert!(members.sign(&of_name(0, 9999), later).is_ok());
        assert!(members.is_up(&of_name(0, 1)) && members.is_up(&of_name(1, 0)));
        assert_eq!(members.nodes.len(), MAX_OF_NAME + 1);
        for name in 2..=MAX_NODES / MAX_OF_NAME {
            for number in 0..MAX_OF_NAME as u64 {
                let _ = members.sign(&of_name(name, number), later);
            }
        }
        assert_eq!(members.nodes.len(), MAX_NODES);
        assert!(members.is_up(&of_name(0, 1)) && members.is_up(&of_name(1, 0)));
    }
}
