//! How many messages a node broadcast to each group, and how many of them arrived. No I/O, no clock.
//!
//! A node gets only the messages of the groups that have members on it. So the number in the beats of a node, which
//! counts its broadcasts to all, says nothing of them: each group has a count of its own, which the sender tells those
//! that are subscribed to the group.
//!
//! A receiver that subscribes does not know what was sent to the group before. It compares from the first count that it
//! is told on. It compares from zero on where all of the count was sent while it was subscribed: a count says behind
//! which beat of its node it begins, and a beat that came once the subscription was there is no later than that.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::turns::Turns;

/// The groups of one node that are counted: those that it broadcast to last.
pub(super) const MAX_COUNTED: usize = 16_384;

/// How many counts that have not changed are told again with each beat: one that was told may not have arrived.
const TOLD_AGAIN: usize = 32;

/// How many beats of a node are remembered.
const BEATS: usize = 64;

/// What a node says of a group that it broadcast to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupBeat {
    /// The number of the last beat of the node before it began to count.
    since: u64,
    /// Which of the counts of this group it is: a count that made room begins anew.
    epoch: u64,
    /// How many messages it has sent since.
    count: u64,
}

/// What this node broadcast to groups.
pub(super) struct SentGroups {
    counts: Turns<GroupBeat>,
    /// The groups whose counts have changed since they were told.
    untold: HashSet<Arc<str>>,
    /// The number of the last beat.
    beats: u64,
    epoch: u64,
}

impl SentGroups {
    pub(super) fn new(limit: usize) -> Self {
        Self { counts: Turns::new(limit), untold: HashSet::new(), beats: 0, epoch: 0 }
    }

    /// The number of the next beat.
    pub(super) fn next_beat(&mut self) -> u64 {
        self.beats += 1;
        self.beats
    }

    /// Counts messages to a group. Returns the count of another group that made room, if it is still to be told.
    pub(super) fn add(&mut self, group: &Arc<str>, count: u64) -> Option<(Arc<str>, GroupBeat)> {
        if !self.counts.has(group) {
            self.epoch += 1;
        }
        let begin = GroupBeat { since: self.beats, epoch: self.epoch, count: 0 };
        let (beat, made_room) = self.counts.take_turn(group, || begin);
        beat.count += count;
        self.untold.insert(Arc::clone(group));
        made_room.filter(|(group, _)| self.untold.remove(group))
    }

    /// The counts that are to be told with a beat: those that have changed, and some of the others in turn.
    pub(super) fn take_due(&mut self) -> Vec<(Arc<str>, GroupBeat)> {
        let mut due = std::mem::take(&mut self.untold);
        due.extend(self.counts.oldest(TOLD_AGAIN).map(Arc::clone));
        // Each of them is in the table: a count that makes room is not due any more.
        let beat = |group: Arc<str>| {
            let nothing = GroupBeat { since: self.beats, epoch: self.epoch, count: 0 };
            let beat = *self.counts.take_turn(&group, || nothing).0;
            (group, beat)
        };
        due.into_iter().map(beat).collect()
    }
}

/// What of the messages of another node to groups arrived here.
pub(super) struct GroupCounts {
    groups: Turns<Received>,
    /// The last beats of the node: the number of each, and its place in the order of what arrived.
    beats: VecDeque<(u64, u64)>,
}

/// The messages of one node to one group.
#[derive(Default)]
struct Received {
    /// What was told last.
    told: Option<GroupBeat>,
    /// How many messages arrived since.
    received: u64,
}

impl GroupCounts {
    pub(super) fn new(limit: usize) -> Self {
        Self { groups: Turns::new(limit), beats: VecDeque::new() }
    }

    /// How many groups are counted.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn has(&self, group: &str) -> bool {
        self.groups.has(group)
    }

    /// Notes a beat of the node. One without a number (0) says nothing of the order.
    pub(super) fn beat(&mut self, number: u64, place: u64) {
        if number == 0 {
            return;
        }
        if self.beats.len() == BEATS {
            self.beats.pop_front();
        }
        self.beats.push_back((number, place));
    }

    /// Counts messages to a group that arrived.
    pub(super) fn received(&mut self, group: &Arc<str>, count: u64) {
        let received = &mut self.of(group).received;
        *received = received.saturating_add(count);
    }

    /// Compares what arrived with what the node says that it sent, and returns how many messages did not arrive.
    /// `subscribed` is the place of the subscription in the order of what arrived.
    pub(super) fn compare(&mut self, group: &Arc<str>, beat: GroupBeat, subscribed: Option<u64>) -> u64 {
        // The last beat from before the count: was it received while the subscription was there?
        let last_before = self.beats.iter().rev().find(|(number, _)| *number <= beat.since);
        let is_whole =
            last_before.zip(subscribed).is_some_and(|((_, received), subscribed)| *received > subscribed);
        let counts = self.of(group);
        let received = std::mem::take(&mut counts.received);
        let before = match counts.told.replace(beat) {
            Some(told) if (told.since, told.epoch) == (beat.since, beat.epoch) => told.count,
            // The node has begun anew, and all of it was sent since what it told before.
            Some(_) => 0,
            None if is_whole => 0,
            None => return 0,
        };
        beat.count.saturating_sub(before).saturating_sub(received)
    }

    /// There is no subscription to the group any more.
    pub(super) fn forget(&mut self, group: &str) {
        self.groups.remove(group);
    }

    /// Makes room for the count of another group.
    pub(super) fn forget_oldest(&mut self) {
        self.groups.take_oldest();
        // What was counted of that group is not known any more, so no count that has begun is taken for a whole one.
        self.beats.clear();
    }

    fn of(&mut self, group: &Arc<str>) -> &mut Received {
        let (counts, made_room) = self.groups.take_turn(group, Received::default);
        if made_room.is_some() {
            self.beats.clear();
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Arc<str> {
        name.into()
    }

    fn beat(since: u64, epoch: u64, count: u64) -> GroupBeat {
        GroupBeat { since, epoch, count }
    }

    #[test]
    fn gap_is_counted_from_the_first_count_that_was_told() {
        let (mut counts, room) = (GroupCounts::new(9), name("room"));
        counts.received(&room, 2);
        assert_eq!(counts.compare(&room, beat(1, 1, 100), None), 0, "what came before is not known");
        counts.received(&room, 7);
        assert_eq!(counts.compare(&room, beat(1, 1, 110), None), 3);
        assert_eq!(counts.compare(&room, beat(1, 1, 110), None), 0);
        assert_eq!(counts.compare(&name("other"), beat(1, 1, 5), None), 0);
        // A count that goes backwards tells of no loss, and one that begins anew is a whole one.
        assert_eq!(counts.compare(&room, beat(1, 1, 3), None), 0);
        counts.received(&room, 1);
        assert_eq!(counts.compare(&room, beat(1, 2, 5), None), 4);
        counts.forget("room");
        assert_eq!(counts.compare(&room, beat(1, 2, 9), None), 0);
        assert_eq!(counts.compare(&room, beat(9, 9, u64::MAX), None), u64::MAX);
    }

    #[test]
    fn gap_is_counted_from_zero_where_the_count_began_behind_a_beat_that_was_received() {
        let (mut counts, room) = (GroupCounts::new(9), name("room"));
        counts.beat(4, 10);
        counts.beat(5, 12);
        // Subscribed between both beats: what was counted behind the first one may have been sent before.
        assert_eq!(counts.compare(&room, beat(4, 1, 3), Some(11)), 0);
        counts.forget("room");
        counts.received(&room, 1);
        assert_eq!(counts.compare(&room, beat(5, 1, 3), Some(11)), 2);
        counts.forget("room");
        // A beat in between was lost.
        assert_eq!(counts.compare(&room, beat(6, 1, 3), Some(11)), 3);
        counts.forget("room");
        assert_eq!(counts.compare(&room, beat(6, 1, 3), None), 0);
        assert_eq!(counts.compare(&name("other"), beat(3, 1, 3), Some(1)), 0, "older than all beats");
        counts.beat(0, 20);
        assert_eq!(counts.compare(&name("another"), beat(3, 1, 3), Some(11)), 0, "a beat without a number");
    }

    #[test]
    fn count_that_made_room_is_not_taken_for_a_new_one() {
        let mut counts = GroupCounts::new(1);
        counts.beat(1, 2);
        assert_eq!(counts.compare(&name("room"), beat(1, 1, 5), Some(1)), 5);
        counts.received(&name("other"), 1);
        assert_eq!(counts.compare(&name("room"), beat(1, 1, 5), Some(1)), 0);
        counts.beat(2, 3);
        assert_eq!(counts.compare(&name("other"), beat(2, 1, 5), Some(1)), 5);
        counts.forget_oldest();
        assert_eq!((counts.len(), counts.compare(&name("other"), beat(2, 1, 5), Some(1))), (0, 0));
    }

    #[test]
    fn count_that_has_changed_is_told_once_and_others_in_turn() {
        let mut sent = SentGroups::new(usize::MAX);
        assert_eq!(sent.next_beat(), 1);
        for number in 0..100 {
            assert!(sent.add(&name(&number.to_string()), 2).is_none());
        }
        assert_eq!(sent.take_due().len(), 100);
        assert_eq!(sent.next_beat(), 2);
        sent.add(&name("5"), 1);
        let mut told = HashSet::new();
        let mut due = sent.take_due();
        assert!(due.iter().any(|(group, beat)| **group == *"5" && beat.count == 3));
        for _ in 0..3 {
            assert!(due.len() <= TOLD_AGAIN + 1);
            told.extend(due.into_iter().map(|(group, _)| group));
            due = sent.take_due();
        }
        told.extend(due.into_iter().map(|(group, _)| group));
        assert_eq!(told.len(), 100);
    }

    #[test]
    fn count_that_makes_room_is_told_and_begins_anew() {
        let mut sent = SentGroups::new(2);
        sent.next_beat();
        assert!(sent.add(&name("one"), 1).is_none() && sent.add(&name("two"), 1).is_none());
        let (group, told) = sent.add(&name("three"), 1).unwrap();
        assert_eq!((&*group, told), ("one", beat(1, 1, 1)));
        sent.take_due();
        assert!(sent.add(&name("one"), 5).is_none(), "the one that makes room was told");
        let due = sent.take_due();
        let (_, again) = due.iter().find(|(group, _)| **group == *"one").unwrap();
        assert_eq!(*again, beat(1, 4, 5));
        assert_eq!(due.len(), 2);
    }
}
