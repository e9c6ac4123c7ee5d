//! What a session does in a step, and in a turn.

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::consume_budget;
use tokio::time::advance;

use super::scene::{CANCEL, CANCEL_UNKNOWN, NOTE, REQUEST, STREAM, Scene, WAIT};
use crate::connection::session::turn::DISPATCH;
use crate::connection::{EndpointState as _, Limits};
use crate::events::CloseCause;
use crate::limits::PROBE_INTERVAL;
use crate::sync::lock;
use crate::topic::TopicName;

#[tokio::test(start_paused = true)]
async fn turn_short_messages_is_over_after_512() {
    let mut scene = Scene::new(Limits::default());
    scene.after(&NOTE.repeat(1_500));
    assert_eq!(scene.noted(), DISPATCH / 128);
    scene.after("");
    assert_eq!(scene.noted(), 2 * DISPATCH / 128);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turn_further_one_dispatches_what_the_first_one_left() {
    let mut scene = Scene::new(Limits::default());
    scene.after(&NOTE.repeat(DISPATCH / 128 + 1));
    assert_eq!(scene.noted(), DISPATCH / 128 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turn_beside_another_connection_is_the_only_one() {
    let mut scene = Scene::new(Limits::default());
    scene.endpoint.has_another.store(true, Ordering::Relaxed);
    scene.after(&NOTE.repeat(DISPATCH / 128 + 1));
    assert_eq!(scene.noted(), DISPATCH / 128);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn turn_on_the_only_thread_is_the_only_one() {
    let mut scene = Scene::new(Limits::default());
    scene.after(&NOTE.repeat(DISPATCH / 128 + 1));
    assert_eq!(scene.noted(), DISPATCH / 128);
}

#[tokio::test(start_paused = true)]
async fn turn_requests_cancelled_at_once_begins_max_requests_responders() {
    let mut scene = Scene::new(Limits { max_requests: 2, ..Limits::default() });
    scene.after(&[REQUEST, CANCEL].concat().repeat(10));
    assert_eq!(scene.endpoint.responding.entered(), 2);
    scene.after("");
    assert_eq!(scene.endpoint.responding.entered(), 4);
}

#[tokio::test(start_paused = true)]
async fn turn_cancels_count_for_the_responders_they_are_compared_with() {
    let mut scene = Scene::new(Limits { max_requests: 200, ..Limits::default() });
    scene.after(&REQUEST.repeat(100));
    scene.after(&[CANCEL_UNKNOWN, NOTE].concat().repeat(400));
    // Each cancel is compared with 100 responders, at 16 each.
    assert_eq!(scene.noted(), DISPATCH / (128 + 100 * 16 + 128));
}

#[tokio::test(start_paused = true)]
async fn read_ahead_behind_a_listener_is_bounded() {
    let mut scene = Scene::new(Limits { read_ahead_len: 64, ..Limits::default() });
    scene.after(WAIT);
    scene.after(&NOTE.repeat(10_000));
    assert!(scene.unread() > 0);
}

#[tokio::test(start_paused = true)]
async fn read_ahead_behind_a_responder_has_room_for_a_long_message_and_its_cancel() {
    let limits =
        Limits { read_ahead_len: 64, max_requests: 1, max_message_len: 1024 * 1024, ..Limits::default() };
    let mut scene = Scene::new(limits);
    scene.after(REQUEST);
    scene.after(&NOTE.repeat(10_000));
    assert_eq!(scene.unread(), 0);
}

#[tokio::test(start_paused = true)]
async fn request_longer_than_a_chunk_has_room_in_an_empty_budget() {
    let mut scene = Scene::new(Limits::default());
    let long = "x".repeat(100_000);
    scene.after(&format!("{{\"topic\":\"request\",\"message\":\"{long}\",\"id\":1}}\n"));
    scene.after("");
    assert_eq!(scene.endpoint.responding.inside(), 1);
}

#[tokio::test(start_paused = true)]
async fn read_that_is_interrupted_is_made_again() {
    let mut scene = Scene::new(Limits::default());
    lock(&scene.stream.0).interrupted = true;
    scene.after(NOTE);
    assert_eq!(scene.noted(), 1);
    lock(&scene.stream.0).reset = true;
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::PeerClosed)));
}

#[tokio::test(start_paused = true)]
async fn held_session_dispatches_nothing_until_the_wait_has_finished() {
    let Scene { session, stream, endpoint, .. } = Scene::new(Limits::default());
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let mut running = session.run();
    running.hold(Box::pin(async move { drop(finished.await) }));
    lock(&stream.0).arriving.extend(NOTE.bytes());
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut running).poll(cx).is_pending());
    assert_eq!(*lock(&endpoint.noted), 0);
    finish.send(()).unwrap();
    assert!(Pin::new(&mut running).poll(cx).is_pending());
    assert_eq!(*lock(&endpoint.noted), 1);
}

#[tokio::test(start_paused = true)]
async fn closing_endpoint_waits_for_listener_and_responders_that_do_not_await_it() {
    let mut scene = Scene::new(Limits::default());
    scene.after(&REQUEST.repeat(2));
    scene.after(WAIT);
    let before = scene.session.dispatcher.responders_len();
    scene.endpoint.router().close();
    // Both are polled, and one of them finishes.
    scene.endpoint.responding.open(false);
    scene.after("");
    assert!(scene.session.dispatcher.holds_a_message());
    assert_eq!(scene.session.dispatcher.responders_len(), before / 2);
}

#[tokio::test(start_paused = true)]
async fn drain_with_running_listener_keeps_its_message() {
    let mut scene = Scene::new(Limits::default());
    scene.after(WAIT);
    scene.session.drain(CloseCause::Closed, None);
    scene.after(NOTE);
    assert!(scene.session.dispatcher.holds_a_message());
    scene.endpoint.listening.open(false);
    scene.after("");
    lock(&scene.stream.0).finished = true;
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::Closed)));
    assert_eq!(scene.noted(), 0);
}

#[tokio::test(start_paused = true)]
async fn finished_peer_gets_what_is_queued_before_the_connection_ends() {
    let mut scene = Scene::new(Limits::default());
    lock(&scene.stream.0).blocked = true;
    scene.link.outbox.push(b"queued\n", TopicName::AtRunTime("bytes")).unwrap();
    lock(&scene.stream.0).finished = true;
    scene.after("");
    lock(&scene.stream.0).blocked = false;
    // It ends at once: the peer has nothing more to send.
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::PeerClosed)));
    assert_eq!(lock(&scene.stream.0).written, b"queued\n");
}

#[tokio::test(start_paused = true)]
async fn peer_takes_nothing_for_write_stall_is_aborted() {
    let mut scene = Scene::new(Limits { write_stall: Duration::from_secs(10), ..Limits::default() });
    lock(&scene.stream.0).blocked = true;
    scene.link.outbox.push(b"queued\n", TopicName::AtRunTime("bytes")).unwrap();
    scene.after("");
    advance(Duration::from_secs(11)).await;
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::SlowClient)));
}

#[tokio::test(start_paused = true)]
async fn finished_peer_whose_messages_wait_for_room_gets_all_of_them_dispatched() {
    let mut scene = Scene::new(Limits { outbox_len: 10, ..Limits::default() });
    lock(&scene.stream.0).blocked = true;
    scene.after(REQUEST);
    scene.endpoint.responding.open(false);
    scene.after("");
    assert!(scene.link.outbox.is_overfull(), "the reply has no room");
    lock(&scene.stream.0).finished = true;
    scene.after(NOTE);
    assert_eq!(scene.noted(), 0);
    lock(&scene.stream.0).blocked = false;
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::PeerClosed)));
    assert_eq!(scene.noted(), 1);
}

#[tokio::test(start_paused = true)]
async fn drain_shuts_the_stream_down_once_everything_is_written_and_handled() {
    let mut scene = Scene::new(Limits::default());
    scene.after(REQUEST);
    lock(&scene.stream.0).blocked = true;
    scene.link.outbox.push(b"queued\n", TopicName::AtRunTime("bytes")).unwrap();
    scene.session.drain(CloseCause::Closed, None);
    scene.after("");
    assert!(!lock(&scene.stream.0).shut, "something is queued");
    lock(&scene.stream.0).blocked = false;
    scene.after("");
    assert!(!lock(&scene.stream.0).shut, "a responder is running");
    scene.endpoint.responding.open(false);
    scene.after("");
    assert!(lock(&scene.stream.0).shut);
    assert!(scene.written().ends_with("\"re\":1}\n"), "{}", scene.written());
    lock(&scene.stream.0).finished = true;
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::Closed)));
}

#[tokio::test(start_paused = true)]
async fn drain_ends_streams_with_an_error() {
    let mut scene = Scene::new(Limits::default());
    scene.after(STREAM);
    scene.session.drain(CloseCause::Closed, None);
    scene.after("");
    assert!(scene.session.dispatcher.is_idle());
    assert!(scene.written().contains("\"closing\""), "{}", scene.written());
}

#[tokio::test(start_paused = true)]
async fn request_with_the_id_of_a_stream_in_flight_is_reported_and_gets_no_reply() {
    let mut scene = Scene::new(Limits::default());
    scene.after(STREAM);
    let before = scene.written();
    scene.after(&REQUEST.replace("\"id\":1", "\"id\":2"));
    assert_eq!((scene.endpoint.responding.entered(), scene.written()), (0, before));
    assert_eq!(lock(&scene.endpoint.errors).len(), 1);
    // The ids of other requests are free.
    scene.after(REQUEST);
    assert_eq!(scene.endpoint.responding.inside(), 1);
}

#[tokio::test(start_paused = true)]
async fn cancel_behind_a_held_back_message_frees_the_place_for_it_at_once() {
    let mut scene = Scene::new(Limits { max_requests: 1, ..Limits::default() });
    scene.after(REQUEST);
    scene.after(NOTE);
    assert_eq!(scene.noted(), 0);
    scene.after(CANCEL);
    assert_eq!((scene.endpoint.responding.inside(), scene.noted()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn unfinished_message_is_late_only_while_the_peer_is_read_from() {
    let limits = Limits { outbox_len: 10, write_stall: Duration::MAX, ..Limits::default() };
    let (late, (first, second)) = (limits.incomplete_timeout + Duration::from_secs(1), NOTE.split_at(9));
    let mut scene = Scene::new(limits.clone());
    lock(&scene.stream.0).blocked = true;
    scene.after(&[REQUEST, first].concat());
    scene.endpoint.responding.open(false);
    scene.after("");
    assert!(scene.link.outbox.is_overfull(), "the reply has no room");
    advance(late).await;
    scene.after("");
    lock(&scene.stream.0).blocked = false;
    scene.after(second);
    assert_eq!((scene.noted(), lock(&scene.endpoint.errors).len()), (1, 0));
    scene.after(first);
    advance(late).await;
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::Incomplete)));
    assert_eq!(lock(&scene.endpoint.errors).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn request_beside_streams_that_take_all_places_is_rejected_with_the_limit() {
    let mut scene = Scene::new(Limits { max_requests: 1, ..Limits::default() });
    scene.after(STREAM);
    scene.after(REQUEST);
    assert!(scene.written().contains("all 1 places of `max_requests` are taken"), "{}", scene.written());
    // What calls no responder passes.
    scene.after(NOTE);
    assert_eq!((scene.endpoint.responding.entered(), scene.noted()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn message_beside_a_pending_request_is_dispatched_and_a_blank_line_is_ignored() {
    let mut scene = Scene::new(Limits::default());
    let (_, mut reply) = scene.link.pending_requests.begin(Duration::MAX, true).unwrap();
    scene.after(&["\n \t\r\n", NOTE].concat());
    assert_eq!((scene.noted(), lock(&scene.endpoint.errors).len()), (1, 0));
    assert!(reply.try_recv().is_err());
    scene.after("{\"topic\":\"reply\",\"message\":null,\"re\":1}\n");
    assert!(matches!(reply.try_recv(), Ok(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn turn_without_places_for_responders_goes_on_after_a_message() {
    let mut scene = Scene::new(Limits { max_requests: 0, ..Limits::default() });
    scene.after(&NOTE.repeat(3));
    assert_eq!(scene.noted(), 3);
}

#[tokio::test(start_paused = true)]
async fn peer_is_probed_only_while_it_is_not_read_from() {
    let mut scene = Scene::new(Limits { read_ahead_len: 64, ..Limits::default() });
    scene.after(REQUEST);
    for _ in 0..3 {
        advance(PROBE_INTERVAL).await;
        scene.after("");
    }
    assert_eq!(lock(&scene.stream.0).probes, 0, "reading tells that the peer is gone");
    scene.endpoint.responding.open(false);
    scene.after(WAIT);
    scene.after(&NOTE.repeat(10_000));
    assert!(scene.unread() > 0 && scene.session.has_read_ahead());
    for _ in 0..3 {
        advance(PROBE_INTERVAL).await;
        scene.after("");
    }
    assert!(lock(&scene.stream.0).probes >= 2);
    lock(&scene.stream.0).gone = true;
    advance(PROBE_INTERVAL).await;
    scene.after("");
    assert!(scene.session.writer.ended().is_some(), "senders learn that the peer is gone");
}

/// The runtime delays the timers of a task that has used up its budget.
#[tokio::test(start_paused = true)]
async fn deadline_passes_in_a_task_without_budget() {
    let limits = Limits::default();
    let late = limits.incomplete_timeout;
    let mut scene = Scene::new(limits);
    scene.after("{");
    advance(late).await;
    while pin!(consume_budget()).poll(&mut Context::from_waker(Waker::noop())).is_ready() {}
    assert!(matches!(scene.poll(), Poll::Ready(CloseCause::Incomplete)));
}

#[tokio::test(start_paused = true)]
async fn message_behind_a_listener_that_looks_like_a_reply_is_dispatched_after_it() {
    let mut scene = Scene::new(Limits::default());
    scene.after(WAIT);
    scene.after(r#"{"topic":"note","message":null,"further":{"re":1}}"#);
    scene.after("\n");
    scene.endpoint.listening.open(false);
    scene.after("");
    assert_eq!((scene.noted(), lock(&scene.endpoint.errors).len()), (1, 0));
}
