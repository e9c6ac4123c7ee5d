//! One budget for the bytes that all connections of an endpoint have received and still hold.
//!
//! It counts what a connection holds beyond a chunk: its read buffer, and the requests whose responders run. A
//! connection that holds less is never counted and never waits, so small messages always pass.
//!
//! While there is room, read buffers grow at once. Once there is none, connections that need a larger buffer wait for a
//! turn. The users take turns, and the connections of one user take turns among themselves. In its turn a connection
//! reads what its socket holds, up to the end of the unfinished message. The memory for that comes from a reserve, which
//! holds one message of the maximum length. A turn ends as soon as the socket is empty, so that no peer can hold it.
//!
//! Once the reserve is used up, too, connections are aborted to make room for one message. A connection is to blame if
//! its unfinished message takes more than a chunk and its socket has been empty for [`QUIET`]; the largest is aborted
//! first. A connection that the endpoint does not read from is never to blame. If no connection is to blame, the one
//! that has received most may finish its message beyond the reserve, one at a time. So all connections together never
//! hold more than the limit and two messages.
//!
//! No request waits for the budget for ever: the pending requests of a connection fail with an error once it has waited
//! for [`QUIET`].

mod ring;
mod state;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use self::state::{Entry, State};
use crate::connection::read_buffer::CHUNK;
use crate::sync::lock;

/// How long a socket has to be empty before its connection is to blame, and how long a connection waits for the budget
/// before its pending requests fail.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// How many bytes a peer has to send for its socket not to count as empty.
const TRICKLE: usize = 16 * 1024;

/// The budget of the bytes that the connections of an endpoint hold together.
#[derive(Debug)]
pub(crate) struct InboxBudget {
    limit: usize,
    /// The size of the buffer that the longest message takes.
    message: usize,
    /// The counted bytes, readable without the lock.
    used: AtomicUsize,
    state: Mutex<State>,
}

/// Whether a read buffer may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    Granted,
    /// Not now. The session is woken for its turn.
    Waits,
    /// Never: others need the room that this connection takes.
    Blamed,
}

impl InboxBudget {
    /// Makes a budget of `limit` bytes, for messages of up to `message_len`, delimiter included.
    pub(crate) fn new(limit: usize, message_len: usize) -> Arc<Self> {
        let message = message_len.saturating_add(2 * CHUNK);
        Arc::new(Self { limit, message, used: AtomicUsize::new(0), state: Mutex::default() })
    }

    /// The counted bytes.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The limit beyond which connections wait.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn is_full(&self) -> bool {
        !self.has_room(1)
    }

    /// Whether `more` bytes are within the limit.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.used().saturating_add(more) <= self.limit
    }

    /// Opens the account of a connection of `user`, `None` being unknown.
    pub(super) fn open(self: &Arc<Self>, user: Option<u32>) -> Account {
        let number = lock(&self.state).open(user);
        Account {
            budget: Arc::clone(self),
            number,
            buffer: 0,
            responders: 0,
            waits_since: None,
            is_in_line: false,
        }
    }

    /// Changes the state, and wakes the sessions that get a turn by it.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = lock(&self.state);
        let changed = change(&mut state);
        let woken = state.pass_on(self.limit, self.message, Instant::now());
        self.used.store(state.used(), Ordering::Relaxed);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        changed
    }
}

/// One connection's part of the budget. Dropping it releases the part.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<InboxBudget>,
    number: u64,
    /// The counted bytes of the read buffer, and of the requests of running responders.
    buffer: usize,
    responders: usize,
    waits_since: Option<Instant>,
    /// It may have a place in the ring, or the turn, or be quiet.
    is_in_line: bool,
}

impl Account {
    /// Whether the read buffer may take `more` bytes. Without `in_turn` the connection does not wait for a turn, which
    /// would not help it.
    pub(super) fn grow(&mut self, cx: &Context<'_>, more: usize, in_turn: bool) -> Growth {
        let (limit, message, number) = (self.budget.limit, self.budget.message, self.number);
        let growth =
            self.budget.change(|state| state.grow(number, more, in_turn, limit, message, cx.waker()));
        self.is_in_line |= in_turn;
        match growth {
            Growth::Granted => {
                self.buffer += more;
                self.waits_since = None;
            }
            Growth::Waits => drop(self.waits_since.get_or_insert_with(Instant::now)),
            Growth::Blamed => {}
        }
        growth
    }

    /// Sets the bytes of the read buffer.
    #[inline]
    pub(super) fn set_buffer(&mut self, buffer: usize) {
        if buffer != self.buffer {
            self.buffer = buffer;
            self.settle();
        }
    }

    /// Sets the bytes of the requests of running responders.
    #[inline]
    pub(super) fn set_responders(&mut self, responders: usize) {
        if responders != self.responders {
            self.responders = responders;
            self.settle();
        }
    }

    fn settle(&self) {
        let (number, held) = (self.number, self.buffer + self.responders);
        self.budget.change(|state| state.settle(number, held));
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.buffer == 0 && self.responders == 0 && self.waits_since.is_none()
    }

    /// Notes that the peer has sent `count` bytes.
    pub(super) fn received(&self, count: usize) {
        let number = self.number;
        self.budget.change(|state| state.entry(number, |entry| entry.received(count)));
    }

    /// Notes that the socket is empty in the middle of a message. That ends a turn.
    pub(super) fn is_quiet(&mut self, cx: &Context<'_>) {
        let number = self.number;
        let now = Instant::now();
        self.budget.change(|state| {
            state.entry(number, |entry| entry.is_quiet(now, cx.waker()));
            state.end_turn(number, false);
        });
        (self.waits_since, self.is_in_line) = (None, true);
    }

    /// Notes that a message is complete, or that reading more would not help the connection. That ends a turn.
    pub(super) fn step_back(&mut self) {
        if std::mem::take(&mut self.is_in_line) {
            let number = self.number;
            self.budget.change(|state| {
                state.entry(number, Entry::is_done);
                state.leave(number);
                state.end_turn(number, true);
            });
        }
    }

    /// Notes that the connection needs no more room for now.
    pub(super) fn is_done(&mut self) {
        self.step_back();
        self.waits_since = None;
    }

    /// Whether others need the room that this connection takes.
    pub(super) fn is_blamed(&self) -> bool {
        lock(&self.budget.state).is_blamed(self.number)
    }

    /// Checks the budget again after some time, for all connections, and says whether this one has waited for
    /// [`QUIET`].
    pub(super) fn review(&self) -> bool {
        self.budget.change(|_| {});
        self.waits_since.is_some_and(|since| since.elapsed() >= QUIET)
    }

    pub(super) fn waits(&self) -> bool {
        self.waits_since.is_some()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let number = self.number;
        self.budget.change(|state| state.close(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(account: &mut Account, more: usize) -> Growth {
        account.grow(&Context::from_waker(Waker::noop()), more, true)
    }

    #[tokio::test(start_paused = true)]
    async fn account_in_turn_grows_by_a_message_beyond_the_limit() {
        let budget = InboxBudget::new(0, 100);
        let mut account = budget.open(Some(1));
        assert_eq!(grow(&mut account, 100 + 2 * CHUNK), Growth::Waits);
        assert_eq!(grow(&mut account, 100 + 2 * CHUNK), Growth::Granted);
        assert_eq!(grow(&mut account, 1), Growth::Waits);
    }

    #[tokio::test(start_paused = true)]
    async fn account_counts_buffer_and_responders_until_it_is_dropped() {
        let budget = InboxBudget::new(10 * CHUNK, 100);
        let mut account = budget.open(None);
        assert!(account.holds_nothing() && !budget.is_full());
        assert_eq!(grow(&mut account, 10 * CHUNK - 5), Growth::Granted);
        account.set_responders(5);
        assert_eq!(budget.used(), 10 * CHUNK);
        assert!(!account.holds_nothing() && budget.is_full());
        account.set_buffer(0);
        assert_eq!(budget.used(), 5);
        assert!(!account.holds_nothing());
        account.set_responders(0);
        assert!(account.holds_nothing());
        account.set_buffer(7);
        drop(account);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn account_steps_back_turn_passes_on() {
        let budget = InboxBudget::new(0, 100);
        let [mut first, mut second] = [Some(1), Some(2)].map(|user| budget.open(user));
        assert_eq!(grow(&mut first, CHUNK), Growth::Waits);
        assert_eq!(grow(&mut second, CHUNK), Growth::Waits);
        assert!(first.waits() && second.waits());
        assert_eq!(grow(&mut first, CHUNK), Growth::Granted);
        assert_eq!(grow(&mut second, CHUNK), Growth::Waits);
        first.is_done();
        assert!(!first.waits());
        assert_eq!(grow(&mut second, CHUNK), Growth::Granted);
        assert!(!second.waits());
    }

    #[tokio::test(start_paused = true)]
    async fn account_quiet_is_blamed_unless_it_receives() {
        for received in [0, TRICKLE] {
            let budget = InboxBudget::new(0, 10 * CHUNK);
            let [mut first, mut second] = [Some(1), Some(2)].map(|user| budget.open(user));
            first.set_buffer(20 * CHUNK);
            first.is_quiet(&Context::from_waker(Waker::noop()));
            assert_eq!(grow(&mut second, CHUNK), Growth::Waits);
            first.received(received);
            assert!(!second.review());
            tokio::time::advance(QUIET).await;
            assert!(second.review(), "it has waited for so long");
            assert_eq!(first.is_blamed(), received == 0);
        }
    }
}
