//! The connections that wait for a turn: a ring of users, and a ring of connections for each user.

use std::collections::VecDeque;

/// A ring of rings. Each turn goes to the next user, and of that user to the next connection.
#[derive(Debug, Default)]
pub(super) struct Ring {
    users: VecDeque<(Option<u32>, VecDeque<u64>)>,
}

impl Ring {
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Puts a connection behind the others of its user.
    pub(super) fn push(&mut self, user: Option<u32>, number: u64) {
        match self.users.iter_mut().find(|(other, _)| *other == user) {
            Some((_, connections)) => connections.push_back(number),
            None => self.users.push_back((user, VecDeque::from([number]))),
        }
    }

    /// Takes the next connection.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let (user, mut connections) = self.users.pop_front()?;
        let number = connections.pop_front();
        if !connections.is_empty() {
            self.users.push_back((user, connections));
        }
        number
    }

    /// Takes out a connection that waits no more.
    pub(super) fn remove(&mut self, user: Option<u32>, number: u64) {
        if let Some((_, connections)) = self.users.iter_mut().find(|(other, _)| *other == user) {
            connections.retain(|other| *other != number);
            self.users.retain(|(_, connections)| !connections.is_empty());
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.users.iter().flat_map(|(_, connections)| connections.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;

    #[test]
    fn ring_turns_alternate_between_users() {
        let mut ring = Ring::default();
        for number in 0..4 {
            ring.push(Some(1), number);
        }
        ring.push(None, 10);
        ring.push(Some(2), 20);
        ring.push(Some(2), 21);
        ring.remove(Some(1), 2);
        ring.remove(Some(3), 2);
        let turns: Vec<_> = std::iter::from_fn(|| ring.pop()).collect();
        assert_eq!(turns, [0, 10, 20, 1, 21, 3]);
        assert!(ring.is_empty());
    }
}
