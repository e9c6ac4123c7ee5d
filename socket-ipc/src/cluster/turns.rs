//! Values by name, in the order in which they were used. The one that was used longest ago makes room for a new one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(super) struct Turns<V> {
    values: HashMap<Arc<str>, (u64, V)>,
    /// The names by the turn of their last use.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    limit: usize,
}

impl<V> Turns<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { values: HashMap::new(), order: BTreeMap::new(), next: 0, limit }
    }

    /// Uses the value of a name, which is made where there is none. Also returns the one that made room for it.
    pub(super) fn take_turn(
        &mut self,
        name: &Arc<str>,
        make: impl FnOnce() -> V,
    ) -> (&mut V, Option<(Arc<str>, V)>) {
        let made_room = match self.values.get(name) {
            Some((turn, _)) => {
                self.order.remove(turn);
                None
            }
            None if self.values.len() >= self.limit => self.take_oldest(),
            None => None,
        };
        self.next += 1;
        self.order.insert(self.next, Arc::clone(name));
        let (turn, value) = self.values.entry(Arc::clone(name)).or_insert_with(|| (0, make()));
        *turn = self.next;
        (value, made_room)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some((turn, _)) = self.values.remove(name) {
            self.order.remove(&turn);
        }
    }

    /// The names that were used longest ago, up to so many, the oldest first.
    pub(super) fn oldest(&self, count: usize) -> impl Iterator<Item = &Arc<str>> {
        self.order.values().take(count)
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn take_oldest(&mut self) -> Option<(Arc<str>, V)> {
        let (_, name) = self.order.pop_first()?;
        let (_, value) = self.values.remove(&name)?;
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_used_longest_ago_makes_room() {
        let mut turns = Turns::new(2);
        let [one, two, three] = ["one", "two", "three"].map(Arc::<str>::from);
        assert!(turns.take_turn(&one, || 1).1.is_none());
        assert!(turns.take_turn(&two, || 2).1.is_none());
        let (value, made_room) = turns.take_turn(&one, || 9);
        assert_eq!((*value, made_room), (1, None));
        assert_eq!(turns.oldest(9).collect::<Vec<_>>(), [&two, &one]);
        let (value, made_room) = turns.take_turn(&three, || 3);
        assert_eq!((*value, made_room), (3, Some((Arc::clone(&two), 2))));
        turns.remove("one");
        assert!(!turns.has("one") && !turns.has("two") && turns.has("three"));
        assert_eq!((turns.len(), turns.order.len()), (1, 1));
    }
}
