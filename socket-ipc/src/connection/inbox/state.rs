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
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: usize = 4 * CHUNK;
    const MESSAGE: usize = 10 * CHUNK;

    fn grow(state: &mut State, number: u64, more: usize) -> Growth {
        state.grow(number, more, true, LIMIT, MESSAGE, Waker::noop())
    }

    fn pass_on(state: &mut State, now: Instant) -> usize {
        state.pass_on(LIMIT, MESSAGE, now).len()
    }

    /// A state whose first connection takes all of the limit, and two that wait.
    fn full(now: Instant) -> (State, [u64; 3]) {
        let mut state = State::default();
        let [holder, first, second] = [1, 2, 3].map(|user| state.open(Some(user)));
        assert_eq!(grow(&mut state, holder, LIMIT), Growth::Granted);
        assert_eq!(grow(&mut state, first, CHUNK), Growth::Waits);
        assert_eq!(pass_on(&mut state, now), 1);
        assert_eq!(grow(&mut state, second, CHUNK), Growth::Waits);
        (state, [holder, first, second])
    }

    #[test]
    fn turn_of_quiet_connection_ends() {
        let now = Instant::now();
        let (mut state, [_, first, second]) = full(now);
        assert_eq!(pass_on(&mut state, now), 0);
        state.end_turn(second, true);
        assert_eq!(pass_on(&mut state, now), 0, "it is the turn of another");
        state.end_turn(first, false);
        assert_eq!(pass_on(&mut state, now), 1);
        assert_eq!(grow(&mut state, second, MESSAGE), Growth::Granted);
    }

    #[test]
    fn turn_passes_on_after_quiet_time() {
        let now = Instant::now();
        let (mut state, _) = full(now);
        assert_eq!(pass_on(&mut state, now + QUIET - Duration::from_nanos(1)), 0);
        assert_eq!(pass_on(&mut state, now + QUIET), 1);
    }

    #[test]
    fn reserve_used_up_largest_finishes_and_keeps_its_turn_until_done() {
        let now = Instant::now();
        let (mut state, [holder, first, second]) = full(now);
        assert_eq!(grow(&mut state, first, MESSAGE), Growth::Granted);
        assert_eq!(grow(&mut state, first, 1), Growth::Waits);
        assert_eq!(grow(&mut state, holder, 1), Growth::Waits);
        assert_eq!(pass_on(&mut state, now), 1);
        assert_eq!(grow(&mut state, first, MESSAGE), Growth::Granted, "it finishes beyond the reserve");
        state.end_turn(first, false);
        assert_eq!(pass_on(&mut state, now + 2 * QUIET), 0);
        state.settle(first, 0);
        state.end_turn(first, true);
        assert_eq!(pass_on(&mut state, now + 2 * QUIET), 1);
        assert_eq!(grow(&mut state, second, MESSAGE), Growth::Granted, "it waits longest");
    }

    #[test]
    fn connection_that_finishes_passes_its_turn_on_once_there_is_room() {
        let now = Instant::now();
        let (mut state, [holder, first, second]) = full(now);
        assert_eq!(grow(&mut state, first, MESSAGE), Growth::Granted);
        assert_eq!(grow(&mut state, first, 1), Growth::Waits);
        assert_eq!(pass_on(&mut state, now), 1);
        assert_eq!(grow(&mut state, first, CHUNK), Growth::Granted, "it finishes beyond the reserve");
        assert_eq!(pass_on(&mut state, now), 0);
        state.close(holder);
        assert_eq!(pass_on(&mut state, now), 1);
        assert_eq!(grow(&mut state, second, CHUNK), Growth::Granted);
    }

    #[test]
    fn connection_that_finishes_and_falls_silent_is_blamed() {
        let now = Instant::now();
        let (mut state, [_, first, second]) = full(now);
        assert_eq!(grow(&mut state, first, MESSAGE), Growth::Granted);
        assert_eq!(grow(&mut state, first, 1), Growth::Waits);
        assert_eq!(pass_on(&mut state, now), 1);
        state.entry(first, |entry| entry.is_quiet(now, Waker::noop()));
        // A search has just been made, so that only the turn is looked at.
        state.search_at = Some(now + 2 * QUIET);
        assert_eq!(pass_on(&mut state, now + QUIET), 1);
        assert!(state.is_blamed(first) && !state.is_blamed(second));
        assert_eq!(grow(&mut state, first, 1), Growth::Blamed);
        assert_eq!(state.leaving, MESSAGE);
        state.close(first);
        assert_eq!((state.leaving, state.used), (0, LIMIT));
    }

    /// Three connections that hold `held` and are quiet since `now`, and one that waits.
    fn quiet(held: [usize; 3], now: Instant) -> (State, [u64; 3]) {
        let mut state = State::default();
        let numbers = [1, 2, 3].map(|user| state.open(Some(user)));
        for (number, held) in numbers.into_iter().zip(held) {
            state.settle(number, held);
            state.entry(number, |entry| entry.is_quiet(now, Waker::noop()));
        }
        let waiting = state.open(Some(4));
        assert_eq!(grow(&mut state, waiting, CHUNK), Growth::Waits);
        pass_on(&mut state, now);
        (state, numbers)
    }

    /// A further connection needs room.
    fn look_for_room(state: &mut State, now: Instant) {
        let waiting = state.open(None);
        assert_eq!(grow(state, waiting, CHUNK), Growth::Waits);
        pass_on(state, now);
    }

    fn blamed(state: &State, numbers: [u64; 3]) -> [bool; 3] {
        numbers.map(|number| state.is_blamed(number))
    }

    #[test]
    fn room_for_a_message_blames_largest_only() {
        let now = Instant::now();
        // Within a few chunks of a message, one is enough.
        let (mut state, numbers) = quiet([2 * CHUNK, 7 * CHUNK, 3 * CHUNK], now);
        look_for_room(&mut state, now + QUIET - Duration::from_nanos(1));
        assert_eq!(blamed(&state, numbers), [false; 3]);
        look_for_room(&mut state, now + QUIET);
        assert_eq!(blamed(&state, numbers), [false, true, false]);
        // What it releases is counted, and what it takes meanwhile.
        state.settle(numbers[1], 5 * CHUNK);
        assert_eq!((state.leaving, state.used), (5 * CHUNK, 10 * CHUNK));
        // While it is about to end, no other is blamed.
        look_for_room(&mut state, now + 3 * QUIET);
        assert_eq!(blamed(&state, numbers), [false, true, false]);
        state.close(numbers[1]);
        assert_eq!((state.leaving, state.used), (0, 5 * CHUNK));
    }

    #[test]
    fn connection_that_sends_is_not_blamed() {
        let now = Instant::now();
        let (mut state, numbers) = quiet([20 * CHUNK, 7 * CHUNK, 8 * CHUNK], now);
        state.entry(numbers[0], |entry| entry.received(TRICKLE));
        state.entry(numbers[1], |entry| entry.received(TRICKLE - 1));
        state.entry(numbers[2], Entry::is_done);
        look_for_room(&mut state, now + QUIET);
        assert_eq!(blamed(&state, numbers), [false, true, false]);
    }

    #[test]
    fn connection_quiet_after_a_search_is_found_by_a_later_one() {
        let now = Instant::now();
        let (mut state, numbers) = quiet([7 * CHUNK, 0, 0], now);
        state.entry(numbers[0], Entry::is_done);
        look_for_room(&mut state, now + QUIET);
        assert_eq!(blamed(&state, numbers), [false; 3]);
        state.entry(numbers[0], |entry| entry.is_quiet(now + QUIET, Waker::noop()));
        look_for_room(&mut state, now + 2 * QUIET);
        assert_eq!(blamed(&state, numbers), [true, false, false]);
    }

    #[test]
    fn make_room_small_connections_blames_several_but_no_empty_one() {
        let now = Instant::now();
        let (mut state, numbers) = quiet([3 * CHUNK, 0, 2 * CHUNK], now);
        look_for_room(&mut state, now + QUIET);
        assert_eq!(blamed(&state, numbers), [true, false, true]);
    }

    #[test]
    fn turns_alternate_between_users() {
        let now = Instant::now();
        let mut state = State::default();
        let [first, second, other] = [1, 1, 2].map(|user| state.open(Some(user)));
        let holder = state.open(None);
        assert_eq!(grow(&mut state, holder, LIMIT), Growth::Granted);
        for number in [first, second, other] {
            assert_eq!(grow(&mut state, number, CHUNK), Growth::Waits);
        }
        for number in [first, other, second] {
            assert_eq!(pass_on(&mut state, now), 1);
            assert_eq!(grow(&mut state, number, CHUNK), Growth::Granted);
            state.end_turn(number, true);
        }
    }

    #[test]
    fn connection_quiet_later_is_not_blamed_while_another_leaves() {
        let now = Instant::now();
        let (mut state, numbers) = quiet([5 * CHUNK, 8 * CHUNK, CHUNK], now);
        state.entry(numbers[1], Entry::is_done);
        state.entry(numbers[2], Entry::is_done);
        look_for_room(&mut state, now + QUIET);
        assert_eq!(blamed(&state, numbers), [true, false, false]);
        state.entry(numbers[1], |entry| entry.is_quiet(now + QUIET, Waker::noop()));
        look_for_room(&mut state, now + 3 * QUIET);
        assert_eq!(blamed(&state, numbers), [true, false, false]);
    }
}
