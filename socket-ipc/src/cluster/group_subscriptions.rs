//! The groups that have members on this node: what it is subscribed to.
//!
//! The groups of the server tell which of them come and go. A task subscribes to those that came and ends the
//! subscriptions of those that went. What comes and goes meanwhile is taken together, and a group that goes and comes
//! again in between stays as it is.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};

use tokio::sync::Notify;

use crate::server::WatchGroups;
use crate::sync::lock;

#[derive(Default)]
pub(super) struct GroupSubscriptions {
    state: Mutex<State>,
    /// Tells the task that subscribes.
    pub(super) changed: Notify,
    /// Wakes those that wait for a subscription.
    settled: Notify,
    /// The node has left.
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The groups that came or went since the task has looked.
    changes: HashMap<Arc<str>, Change>,
    /// The groups whose subscription the NATS server has confirmed, while there is a connection.
    confirmed: HashSet<Arc<str>>,
    /// The subjects that the NATS server refuses to let this node subscribe to.
    refused: HashSet<String>,
    /// The groups with such a subject.
    refused_groups: HashSet<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Made,
    Dropped,
}

impl GroupSubscriptions {
    /// Waits for the subscription to a group, and says whether there is one. `has_members` says whether there will be.
    pub(super) async fn subscribed(&self, group: &str, has_members: impl Fn() -> bool) -> bool {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if self.ended.load(Ordering::Acquire) || !has_members() {
                return false;
            }
            {
                let state = lock(&self.state);
                if state.confirmed.contains(group) {
                    return true;
                }
                if state.refused_groups.contains(group) {
                    return false;
                }
            }
            settled.await;
        }
    }

    /// Takes what has changed.
    pub(super) fn take_changes(&self) -> HashMap<Arc<str>, Change> {
        let mut state = lock(&self.state);
        let changes = std::mem::take(&mut state.changes);
        for group in changes.keys() {
            state.confirmed.remove(group);
            state.refused_groups.remove(group);
        }
        changes
    }

    /// The NATS server has confirmed that these groups are subscribed to; each with its subject.
    pub(super) fn confirm(&self, groups: impl Iterator<Item = (Arc<str>, String)>) {
        {
            let mut state = lock(&self.state);
            for (group, subject) in groups {
                if state.refused.contains(&subject) {
                    state.refused_groups.insert(group);
                } else if !state.refused_groups.contains(&group) {
                    state.confirmed.insert(group);
                }
            }
            // The others are of groups that have gone.
            state.refused.clear();
        }
        self.wake();
    }

    /// Has those that wait for a subscription look again.
    pub(super) fn wake(&self) {
        self.settled.notify_waiters();
    }

    /// There is no connection: nothing is received.
    pub(super) fn unconfirm_all(&self) {
        let mut state = lock(&self.state);
        state.confirmed.clear();
        state.refused_groups.clear();
    }

    /// The NATS server reports an error. It may be that it refuses a subscription.
    pub(super) fn on_error(&self, error: &str) {
        let refused = error.split_once("Permissions Violation for Subscription to \"");
        if let Some((subject, _)) = refused.and_then(|(_, rest)| rest.split_once('"'))
            && subject.contains(".g.*.*.")
        {
            lock(&self.state).refused.insert(subject.to_owned());
        }
    }

    /// There is no subscription to this group.
    pub(super) fn refuse(&self, group: &Arc<str>) {
        lock(&self.state).refused_groups.insert(Arc::clone(group));
        self.wake();
    }

    /// The node has left: there is nothing to wait for.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        *lock(&self.state) = State::default();
        self.wake();
    }

    /// Notes a change, unless it takes back one that nobody has looked at.
    fn note(&self, group: &Arc<str>, change: Change) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        match lock(&self.state).changes.entry(Arc::clone(group)) {
            Entry::Occupied(other) if *other.get() != change => drop(other.remove()),
            Entry::Occupied(_) => {}
            Entry::Vacant(new) => drop(new.insert(change)),
        }
        // It also wakes those that wait for the subscription, which is foreign code: not under the locks of the server.
        self.changed.notify_one();
    }
}

impl WatchGroups for GroupSubscriptions {
    fn made(&self, group: &Arc<str>) {
        self.note(group, Change::Made);
    }

    fn dropped(&self, group: &Arc<str>) {
        self.note(group, Change::Dropped);
    }
}
