//! The connections that hold a part of the budget, and whose turn it is.

use std::collections::HashMap;
use std::task::Waker;

use foldhash::fast::FixedState;
use tokio::time::Instant;

use super::ring::Ring;
use super::{Growth, QUIET, TRICKLE};
use crate::connection::read_buffer::CHUNK;

#[derive(Debug, Default)]
pub(super) struct State {
    used: usize,
    accounts: HashMap<u64, Entry, FixedState>,
    waiting: Ring,
    turn: Option<Turn>,
    /// The bytes of the connections that are about to end.
    leaving: usize,
    /// Since when there is no room within the limit. No connection is to blame for earlier time.
    full_since: Option<Instant>,
    /// When to search again for connections that are to blame.
    search_at: Option<Instant>,
    opened: u64,
}

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Entry {
    user: Option<u32>,
    held: usize,
    /// Since when its socket is empty in the middle of a message.
    quiet_since: Option<Instant>,
    /// How many bytes have arrived since.
    trickled: usize,
    waits: bool,
    /// It is about to end, because other connections need its room.
    blamed: bool,
    session: Option<Waker>,
}

/// The connection that may take from the reserve.
#[derive(Debug)]
struct Turn {
    number: u64,
    since: Instant,
    /// It may take as much as its message needs. Until the message is complete, no other connection may take anything.
    finishes: bool,
}

impl Entry {
    pub(super) fn received(&mut self, count: usize) {
        self.trickled = self.trickled.saturating_add(count);
        if self.trickled >= TRICKLE {
            self.quiet_since = None;
        }
    }

    pub(super) fn is_quiet(&mut self, now: Instant, session: &Waker) {
        if self.quiet_since.is_none() {
            (self.quiet_since, self.trickled) = (Some(now), 0);
        }
        self.session = Some(session.clone());
    }

    pub(super) fn is_done(&mut self) {
        self.quiet_since = None;
    }

    /// Marks it to be aborted, and returns the waker of its session.
    fn blame(&mut self) -> Option<Waker> {
        self.blamed = true;
        self.session.take()
    }

    /// Whether other connections have waited [`QUIET`] for room because of it.
    fn is_to_blame(&self, now: Instant, full_since: Instant) -> bool {
        let quiet_since = self.quiet_since.map(|since| since.max(full_since));
        !self.blamed && self.held > 0 && quiet_since.is_some_and(|since| now.duration_since(since) >= QUIET)
    }
}

impl State {
    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn open(&mut self, user: Option<u32>) -> u64 {
        self.opened += 1;
        self.accounts.insert(self.opened, Entry { user, ..Entry::default() });
        self.opened
    }

    pub(super) fn close(&mut self, number: u64) {
        self.leave(number);
        self.end_turn(number, true);
        if let Some(entry) = self.accounts.remove(&number) {
            self.used -= entry.held;
            self.leaving -= if entry.blamed { entry.held } else { 0 };
        }
    }

    pub(super) fn entry(&mut self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.accounts.get_mut(&number) {
            change(entry);
        }
    }

    pub(super) fn is_blamed(&self, number: u64) -> bool {
        self.accounts.get(&number).is_some_and(|entry| entry.blamed)
    }

    pub(super) fn settle(&mut self, number: u64, held: usize) {
        if let Some(entry) = self.accounts.get_mut(&number) {
            self.used = self.used - entry.held + held;
            if entry.blamed {
                self.leaving = self.leaving - entry.held + held;
            }
            entry.held = held;
        }
    }

    pub(super) fn grow(
        &mut self,
        number: u64,
        more: usize,
        in_turn: bool,
        limit: usize,
        reserve: usize,
        session: &Waker,
    ) -> Growth {
        let has_turn = self.turn.as_ref().filter(|turn| turn.number == number).map(|turn| turn.finishes);
        let Some(entry) = self.accounts.get_mut(&number) else { return Growth::Blamed };
        if entry.blamed {
            return Growth::Blamed;
        }
        let then = self.used.saturating_add(more);
        let is_granted = match has_turn {
            Some(finishes) => finishes || then <= limit.saturating_add(reserve),
            None => self.waiting.is_empty() && then <= limit,
        };
        if is_granted {
            self.used = then;
            entry.held += more;
            return Growth::Granted;
        }
        entry.session = Some(session.clone());
        // Its buffer is full, so the socket may hold more.
        entry.quiet_since = None;
        if in_turn && !entry.waits {
            entry.waits = true;
            self.waiting.push(entry.user, number);
        }
        if has_turn.is_some() {
            self.turn = None;
        }
        Growth::Waits
    }

    /// Takes a connection out of the ring.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(entry) = self.accounts.get_mut(&number)
            && std::mem::take(&mut entry.waits)
        {
            self.waiting.remove(entry.user, number);
        }
    }

    /// Ends the turn of a connection. One that finishes its message keeps its turn until it `is_done`.
    pub(super) fn end_turn(&mut self, number: u64, is_done: bool) {
        self.turn.take_if(|turn| turn.number == number && (is_done || !turn.finishes));
    }

    /// Passes the turn on if it is over, makes room for the next, and returns the sessions to wake.
    pub(super) fn pass_on(&mut self, limit: usize, message: usize, now: Instant) -> Vec<Waker> {
        if self.used.saturating_add(CHUNK) <= limit {
            self.full_since = None;
        } else {
            self.full_since.get_or_insert(now);
        }
        if self.waiting.is_empty() && self.turn.is_none() {
            return Vec::new();
        }
        let full_since = self.full_since.unwrap_or(now);
        let mut woken = self.make_room(message, now, full_since);
        let has_room = self.used.saturating_add(CHUNK) <= limit.saturating_add(message);
        if let Some(turn) = &self.turn {
            let holder = self.accounts.get_mut(&turn.number);
            if turn.finishes && !has_room {
                // The bytes beyond the reserve have to be released before another connection may take any.
                let Some(entry) = holder.filter(|entry| entry.is_to_blame(now, full_since)) else {
                    return woken;
                };
                self.leaving += entry.held;
                woken.extend(entry.blame());
            } else if !turn.finishes && now.duration_since(turn.since) < QUIET {
                return woken;
            }
            self.turn = None;
        }
        if has_room {
            let next = self.waiting.pop();
            woken.extend(next.and_then(|next| self.begin_turn(next, false, now)));
        } else if self.leaving == 0 {
            // No connection is about to end. The one that has received most finishes first.
            let held = |number: &u64| self.accounts.get(number).map_or(0, |entry| entry.held);
            let largest = self.waiting.iter().max_by_key(held);
            woken.extend(largest.and_then(|largest| {
                self.leave(largest);
                self.begin_turn(largest, true, now)
            }));
        }
        woken
    }

    fn begin_turn(&mut self, number: u64, finishes: bool, now: Instant) -> Option<Waker> {
        self.turn = Some(Turn { number, since: now, finishes });
        let entry = self.accounts.get_mut(&number)?;
        entry.waits = false;
        entry.session.take()
    }

    /// Blames the largest of the connections that have made others wait, as many as make room for a message.
    fn make_room(&mut self, message: usize, now: Instant, full_since: Instant) -> Vec<Waker> {
        let is_too_early = now < full_since + QUIET || self.search_at.is_some_and(|at| now < at);
        if self.leaving > 0 || is_too_early {
            return Vec::new();
        }
        // A search takes time in proportion to the number of connections.
        self.search_at = Some(now + QUIET / 10);
        let mut to_blame: Vec<_> =
            self.accounts.values_mut().filter(|entry| entry.is_to_blame(now, full_since)).collect();
        to_blame.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.held));
        let mut woken = Vec::new();
        for entry in to_blame {
            // Buffers grow in chunks, and the first chunk is not counted: for a few chunks no further connection is
            // aborted.
            if self.leaving + 4 * CHUNK >= message {
                break;
            }
            self.leaving += entry.held;
            woken.extend(entry.blame());
        }
        woken
    }
}

#[cfg(test)]
mod tests;
