//! What a session takes of the inbox budget.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::advance;

use super::scene::{NOTE, REQUEST, Scene, WAIT};
use crate::connection::Limits;
use crate::connection::inbox::{Account, Growth, InboxBudget, QUIET};
use crate::connection::pending_requests::NoReply;
use crate::connection::read_buffer::CHUNK;
use crate::events::CloseCause;
use crate::limits::PROBE_INTERVAL;
use crate::sync::lock;

/// Many chunks.
const LONG: usize = 8 * CHUNK;

/// A line of this length, for the listener of `note`.
fn long_note(len: usize) -> String {
    let (front, end) = ("{\"topic\":\"note\",", "\"message\":null}\n");
    format!("{front}{}{end}", " ".repeat(len - front.len() - end.len()))
}

/// A request that takes `len` bytes without its delimiter, and its line.
fn long_request(len: usize) -> String {
    let (front, end) = ("{\"topic\":\"request\",\"message\":\"", "\",\"id\":1}");
    format!("{front}{}{end}\n", "x".repeat(len - front.len() - end.len()))
}

fn limits() -> Limits {
    Limits { max_message_len: LONG, incomplete_timeout: Duration::from_secs(3_600), ..Limits::default() }
}

/// A budget of `limit` bytes, and sessions that share it.
fn scenes<const COUNT: usize>(limit: usize) -> (Arc<InboxBudget>, [Scene; COUNT]) {
    let budget = InboxBudget::new(limit, LONG + 1);
    let scenes = [(); COUNT].map(|()| Scene::with_inbox(limits(), &budget));
    (budget, scenes)
}

/// A connection that takes the whole budget and the turn, until it is dropped.
fn greedy(budget: &Arc<InboxBudget>) -> Account {
    let mut account = budget.open(Some(1));
    account.set_buffer(budget.limit() + 2 * LONG);
    assert_eq!(account.grow(&Context::from_waker(Waker::noop()), CHUNK, true), Growth::Waits);
    account
}

/// Polls until nothing changes any more.
fn settle(scenes: &mut [Scene]) {
    for _ in 0..50 {
        for scene in &mut *scenes {
            assert!(scene.poll().is_pending());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn inbox_unfinished_message_is_counted_until_it_is_dispatched() {
    let (_, mut scenes) = scenes::<1>(100 * LONG);
    let line = long_note(LONG);
    let (first, second) = line.split_at(LONG / 2);
    scenes[0].after(first);
    settle(&mut scenes);
    assert!((LONG / 2 - CHUNK..2 * LONG).contains(&scenes[0].used()), "{}", scenes[0].used());
    scenes[0].after(second);
    settle(&mut scenes);
    assert_eq!((scenes[0].noted(), scenes[0].used()), (1, 0));
    assert!(scenes[0].session.account.is_none());
}

#[tokio::test(start_paused = true)]
async fn inbox_without_room_long_messages_are_read_in_turn() {
    let (_, mut scenes) = scenes::<3>(0);
    for scene in &mut scenes {
        scene.arrive(&long_note(LONG).repeat(2));
    }
    settle(&mut scenes);
    for scene in &scenes {
        assert_eq!((scene.noted(), scene.used()), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn inbox_turn_is_for_one_message() {
    let (_, mut scenes) = scenes::<2>(0);
    for scene in &mut scenes {
        scene.arrive(&long_note(LONG).repeat(10));
    }
    for _ in 0..100 {
        for scene in &mut scenes {
            assert!(scene.poll().is_pending());
        }
        // In a turn of its own, a session takes two messages that fit in its buffer.
        let [first, second] = [scenes[0].noted(), scenes[1].noted()];
        assert!(first.abs_diff(second) <= 4, "{first} beside {second}");
    }
    assert_eq!([scenes[0].noted(), scenes[1].noted()], [10, 10]);
}

#[tokio::test(start_paused = true)]
async fn inbox_turn_ends_in_the_middle_of_a_message_and_at_the_end_of_the_stream() {
    for finishes in [false, true] {
        let (_, [mut first, mut second]) = scenes::<2>(0);
        // The responder keeps the connection open.
        first.after(REQUEST);
        first.after(&long_note(LONG)[..LONG / 4]);
        lock(&first.stream.0).finished = finishes;
        for _ in 0..20 {
            assert!(first.poll().is_pending());
        }
        second.arrive(&long_note(LONG));
        for _ in 0..20 {
            assert!(second.poll().is_pending());
        }
        assert_eq!(second.noted(), 1, "no time has passed");
    }
}

#[tokio::test(start_paused = true)]
async fn inbox_unfinished_message_that_keeps_others_waiting_is_blamed() {
    let (_, [mut first, mut second]) = scenes::<2>(0);
    first.arrive(&long_note(LONG)[..LONG - 1]);
    second.arrive(&long_note(LONG));
    for _ in 0..50 {
        assert!(first.poll().is_pending());
    }
    for _ in 0..3 {
        assert!(second.poll().is_pending());
        advance(PROBE_INTERVAL).await;
    }
    let Poll::Ready(CloseCause::InboxFull) = first.poll() else { panic!("it is not aborted") };
    let errors = lock(&first.endpoint.errors).clone();
    assert!(errors.len() == 1 && errors[0].contains("`inbox_total_len`"), "{errors:?}");
    drop(first);
    settle(std::slice::from_mut(&mut second));
    assert_eq!((second.noted(), second.used()), (1, 0));
}

/// A connection is to blame for an unfinished message, not for one that it is not read for, nor for its responders.
#[tokio::test(start_paused = true)]
async fn inbox_connection_is_blamed_only_for_an_unfinished_message_that_is_read() {
    let long = &long_note(LONG)[..LONG / 2];
    let responders = [&long_request(CHUNK).repeat(4), "{\"topic\":"].concat();
    for (bytes, is_blamed) in [(long, true), (&[WAIT, long].concat(), false), (&responders, false)] {
        let (budget, [mut scene]) = scenes::<1>(10 * LONG);
        scene.arrive(bytes);
        for _ in 0..20 {
            assert!(scene.poll().is_pending());
        }
        assert!(scene.used() > CHUNK);
        let other = greedy(&budget);
        let mut end = Poll::Pending;
        for _ in 0..4 {
            // A byte now and then does not help.
            scene.arrive(" ");
            end = if end.is_pending() { scene.poll() } else { end };
            advance(3 * QUIET / 4).await;
            let _ = other.review();
            end = if end.is_pending() { scene.poll() } else { end };
        }
        assert_eq!(matches!(end, Poll::Ready(CloseCause::InboxFull)), is_blamed, "{bytes:.9}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn inbox_connection_that_waits_long_fails_its_requests_and_goes_on_later() {
    let (budget, [mut scene]) = scenes::<1>(0);
    let other = greedy(&budget);
    let (_, mut reply) = scene.link.pending_requests.begin(Duration::MAX, true).unwrap();
    scene.after(&long_note(LONG));
    scene.after("");
    assert!(scene.session.waits_for_room() && reply.try_recv().is_err());
    for _ in 0..2 {
        advance(PROBE_INTERVAL).await;
        scene.after("");
    }
    assert!(matches!(reply.try_recv(), Ok(Err(NoReply::NoRoom { limit: 0 }))));
    // While nothing is read, the unfinished message can't be late.
    advance(2 * limits().incomplete_timeout).await;
    scene.after("");
    drop(other);
    settle(std::slice::from_mut(&mut scene));
    assert_eq!((scene.noted(), scene.used()), (1, 0));
    assert!(!scene.session.waits_for_room());
}

#[tokio::test(start_paused = true)]
async fn inbox_requests_of_running_responders_are_counted_in_steps_beyond_a_chunk() {
    let (_, mut scenes) = scenes::<1>(100 * LONG);
    scenes[0].after(&long_request(CHUNK - 1024));
    settle(&mut scenes);
    assert_eq!((scenes[0].session.dispatcher.responders_len(), scenes[0].used()), (CHUNK, 0));
    for (count, used) in [(2, CHUNK), (3, 2 * CHUNK)] {
        scenes[0].after(&long_request(CHUNK - 1024));
        settle(&mut scenes);
        assert_eq!((scenes[0].endpoint.responding.inside(), scenes[0].used()), (count, used));
    }
    scenes[0].after(REQUEST);
    settle(&mut scenes);
    assert_eq!(scenes[0].used(), 2 * CHUNK + CHUNK / 4);
    for _ in 0..4 {
        scenes[0].endpoint.responding.open(false);
        settle(&mut scenes);
    }
    assert_eq!((scenes[0].endpoint.responding.inside(), scenes[0].used()), (0, 0));
    assert!(scenes[0].session.account.is_none());
}

#[tokio::test(start_paused = true)]
async fn inbox_full_requests_within_a_chunk_have_room_and_a_longer_one_is_rejected() {
    let (budget, mut scenes) = scenes::<1>(2 * LONG);
    let [scene] = &mut scenes;
    // It has the memory for a longer request before the budget is full.
    let line = long_request(CHUNK + 1);
    scene.after(&line[..line.len() - 1]);
    scene.after("");
    let mut other = budget.open(None);
    other.set_buffer(2 * LONG);
    scene.after("\n");
    scene.after("");
    assert!(scene.written().contains("`inbox_total_len`"), "{}", scene.written());
    assert_eq!(scene.endpoint.responding.entered(), 1, "it was called, and has given up");
    assert_eq!(scene.endpoint.responding.inside(), 0);
    // One that takes a chunk with its responder passes, and so does what follows.
    scene.after(&long_request(CHUNK - 1024));
    scene.after(NOTE);
    assert_eq!((scene.endpoint.responding.inside(), scene.noted()), (1, 1));
    // With more, messages are held back until there is room.
    scene.after(REQUEST);
    scene.after(NOTE);
    assert_eq!((scene.endpoint.responding.inside(), scene.noted()), (2, 1));
    assert!(scene.session.dispatcher.waits_for_room(&scene.session.context));
    other.set_buffer(0);
    advance(PROBE_INTERVAL).await;
    scene.after("");
    assert_eq!(scene.noted(), 2);
}

#[tokio::test(start_paused = true)]
async fn inbox_full_request_of_a_chunk_has_room() {
    let (budget, [mut scene]) = scenes::<1>(0);
    let mut other = budget.open(None);
    other.set_buffer(1);
    scene.arrive(&long_request(CHUNK));
    for _ in 0..5 {
        assert!(scene.poll().is_pending());
    }
    assert_eq!(scene.endpoint.responding.inside(), 1);
}
