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
