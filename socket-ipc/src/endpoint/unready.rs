//! For which peers it is in vain to encode a message before their connection is looked at.

use std::sync::atomic::{AtomicU64, Ordering};

use super::peer_id::PeerId;
use crate::client_id::ClientId;

/// The peers that were last found without a connection, or without room in their outbox. It is a hint, on which only the
/// time of a message depends, and so without an order: each bit is that of all clients whose ids are 64 apart.
#[derive(Debug, Default)]
pub(crate) struct Unready(AtomicU64);

impl Unready {
    #[inline]
    pub(crate) fn has(&self, peer: impl PeerId) -> bool {
        self.0.load(Ordering::Relaxed) & bit(peer) != 0
    }

    pub(crate) fn set(&self, peer: impl PeerId, is_unready: bool) {
        // Other threads read it for each message, so it is written only where it changes.
        match (self.has(peer), is_unready) {
            (false, true) => drop(self.0.fetch_or(bit(peer), Ordering::Relaxed)),
            (true, false) => drop(self.0.fetch_and(!bit(peer), Ordering::Relaxed)),
            _ => {}
        }
    }
}

fn bit(peer: impl PeerId) -> u64 {
    1 << (peer.client_id().map_or(0, ClientId::get) % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unready_peers_are_told_apart_unless_their_ids_are_64_apart() {
        let (unready, id) = (Unready::default(), ClientId::new);
        unready.set(id(3), true);
        unready.set(id(5), true);
        assert!(unready.has(id(3)) && unready.has(id(5)) && unready.has(id(67)) && !unready.has(id(4)));
        unready.set(id(3), true);
        unready.set(id(3), false);
        assert!(!unready.has(id(3)) && unready.has(id(5)));
        unready.set((), true);
        assert!(unready.has(()) && !unready.has(id(3)));
    }
}
