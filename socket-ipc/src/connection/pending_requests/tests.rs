use std::task::{Context, Poll, Waker};

use super::*;
use crate::connection::OutboxBudget;
use crate::connection::item_queue::{Arrival, End};
use crate::metrics::Metrics;

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn pending_requests_resolve_reaches_requester_once() {
    let requests = PendingRequests::new(2, None, Handle::current());
    assert!(!requests.is_waiting());
    let (first, first_reply) = requests.begin(LONG, true).unwrap();
    let (second, second_reply) = requests.begin(LONG, true).unwrap();
    assert!(matches!(requests.begin(LONG, true), Err(BeginError::TooMany { limit: 2 })));
    assert!(requests.resolve(second, b"2"));
    assert!(requests.resolve(first, b"1"));
    assert!(!requests.resolve(first, b"1"), "it was resolved before");
    assert!(!requests.resolve(99, b"1"), "no such request");
    let replies = [first_reply.await.unwrap().unwrap(), second_reply.await.unwrap().unwrap()];
    assert_eq!(replies.map(Vec::from), [b"1", b"2"]);
    assert!(!requests.is_waiting());
    let (third, _) = requests.begin(LONG, true).unwrap();
    assert!(third > second);
    requests.forget(third);
    assert!(!requests.resolve(third, b"3"), "it was forgotten");
}

#[tokio::test]
async fn pending_requests_end_fails_waiting_and_later_requests() {
    let requests = PendingRequests::new(2, None, Handle::current());
    let (_, reply) = requests.begin(LONG, true).unwrap();
    requests.end(&CloseCause::PeerClosed);
    requests.end(&CloseCause::Closed);
    assert!(matches!(reply.await, Ok(Err(NoReply::Ended(CloseCause::PeerClosed)))));
    let later = requests.begin(LONG, true);
    assert!(matches!(later, Err(BeginError::Ended(CloseCause::PeerClosed))), "the first cause counts");
}

#[tokio::test(start_paused = true)]
async fn pending_requests_moved_deadline_fails_request_in_time() {
    let requests = PendingRequests::new(10, None, Handle::current());
    let start = Instant::now();
    let after = |seconds| start.checked_add(Duration::from_secs(seconds));
    let begin = |seconds| requests.begin(Duration::from_secs(seconds), true).unwrap();
    let [(_, first), (moved_up, second), (moved_down, third)] = [begin(10), begin(20), begin(5)];
    let (_, never) = requests.begin(Duration::MAX, true).unwrap();
    tokio::task::yield_now().await;
    requests.set_deadline(moved_up, after(2));
    requests.set_deadline(moved_down, after(30));
    for (reply, seconds) in [(second, 2), (first, 10), (third, 30)] {
        assert!(matches!(reply.await, Ok(Err(NoReply::TimedOut))));
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
    // Once no request waits, the task that keeps the deadlines ends; the next request starts another.
    requests.end(&CloseCause::Closed);
    assert!(matches!(never.await, Ok(Err(NoReply::Ended(_)))));
    let requests = PendingRequests::new(10, None, Handle::current());
    for _ in 0..2 {
        let (_, reply) = requests.begin(Duration::from_secs(1), true).unwrap();
        assert!(matches!(reply.await, Ok(Err(NoReply::TimedOut))));
    }
    assert_eq!(start.elapsed().as_secs(), 32);
}

/// Requests on a wire with control lines, at most `limit` of them, and where these lines go.
fn with_control_lines(limit: usize) -> (Arc<PendingRequests>, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::new(1_000, OutboxBudget::new(1_000_000), Metrics::new()));
    let cancels = Cancels::new(&outbox, &Arc::new(Wire::JSON_LINES));
    (PendingRequests::new(limit, cancels, Handle::current()), outbox)
}

/// Takes what is queued, as if it had been written.
fn written(outbox: &Outbox) -> String {
    let segments = std::iter::from_fn(|| outbox.take());
    let taken = segments.inspect(|segment| outbox.written(segment, segment.bytes().len(), true));
    String::from_utf8(taken.flat_map(|segment| segment.bytes().to_vec()).collect()).unwrap()
}

fn cancel_of(id: u64) -> String {
    format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{id},\"re\":0}}\n")
}

fn read(items: &ItemQueue) -> Poll<Arrival> {
    items.poll_read(&Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn pending_requests_given_up_leave_a_place_and_are_cancelled_if_sent() {
    let (requests, outbox) = with_control_lines(1);
    let (first, _reply) = requests.begin(LONG, true).unwrap();
    requests.withdraw(first);
    assert_eq!(written(&outbox), "", "it was not sent");
    let (second, _reply) = requests.begin(LONG, true).unwrap();
    requests.forget(second);
    assert_eq!(written(&outbox), cancel_of(second));
    requests.forget(second);
    let (third, _reply) = requests.begin(LONG, false).unwrap();
    requests.forget(third);
    assert_eq!(written(&outbox), "", "the second was forgotten before, and the third is not cancelled");
    let (fourth, reply) = requests.begin(LONG, true).unwrap();
    requests.too_long(fourth, 11, 10);
    assert!(matches!(reply.await, Ok(Err(NoReply::TooLong { size: 11, limit: 10 }))));
    assert_eq!(written(&outbox), "", "its reply has come");
    assert!(!requests.is_waiting());
}

#[tokio::test]
async fn pending_requests_renewal_is_written_and_known_to_be() {
    let (requests, outbox) = with_control_lines(1);
    let end = requests.renew(7, 100);
    assert!(!requests.has_renewed(end));
    assert_eq!(written(&outbox), "{\"topic\":\"socket-ipc.more\",\"message\":[7,100],\"re\":0}\n");
    assert!(requests.has_renewed(end));
    let without_control_lines = PendingRequests::new(1, None, Handle::current());
    let end = without_control_lines.renew(7, 100);
    assert!(without_control_lines.has_renewed(end), "there is nothing to wait for");
}

#[tokio::test]
async fn pending_requests_stream_waits_until_its_end_in_any_order_of_keys() {
    let (requests, outbox) = with_control_lines(2);
    let [one, other] = [(); 2].map(|()| Arc::new(ItemQueue::new(Some(100))));
    let id = requests.begin_stream(Arc::clone(&one), LONG).unwrap();
    let other_id = requests.begin_stream(other, LONG).unwrap();
    assert_ne!(id, other_id);
    let lines = [
        format!(r#"{{"started":true,"topic":"count","re":{id}}}"#),
        format!(r#"{{"more":true,"topic":"count","message":1,"re":{id}}}"#),
        format!(r#"{{"topic":"count","message":2,"more":true,"re":{id}}}"#),
    ];
    for line in &lines {
        assert!(requests.resolve(id, line.as_bytes()), "{line}");
        assert_eq!(requests.deadline_of(id), None, "{line}");
    }
    let Poll::Ready(Arrival::Lines(mut arrived)) = read(&one) else { panic!("no items") };
    for item in &lines[1..] {
        assert_eq!(arrived.next(), Some(item.as_bytes()));
    }
    let end = format!(r#"{{"topic":"count","message":null,"re":{id}}}"#);
    assert!(requests.resolve(id, end.as_bytes()));
    assert!(matches!(read(&one), Poll::Ready(Arrival::End { end: End::Line(_), has_started: true })));
    assert!(!requests.resolve(id, end.as_bytes()), "it has ended");
    assert_eq!(written(&outbox), "", "the peer has ended it");
}

#[tokio::test]
async fn pending_requests_stream_that_can_not_go_on_is_cancelled() {
    let (requests, outbox) = with_control_lines(1);
    let begin = || {
        let items = Arc::new(ItemQueue::new(Some(10)));
        (requests.begin_stream(Arc::clone(&items), LONG).unwrap(), items)
    };
    let (id, items) = begin();
    let beyond = format!(r#"{{"topic":"count","message":"longer than ten","more":true,"re":{id}}}"#);
    assert!(requests.resolve(id, beyond.as_bytes()));
    assert!(matches!(read(&items), Poll::Ready(Arrival::End { end: End::BeyondWindow { .. }, .. })));
    assert_eq!(written(&outbox), cancel_of(id));
    let (id, items) = begin();
    requests.too_long(id, 11, 10);
    let Poll::Ready(Arrival::End { end, .. }) = read(&items) else { panic!("no end") };
    assert!(matches!(end, End::NoReply(NoReply::TooLong { size: 11, limit: 10 })));
    assert_eq!(written(&outbox), cancel_of(id));
    let (id, items) = begin();
    requests.no_room(5);
    let Poll::Ready(Arrival::End { end, .. }) = read(&items) else { panic!("no end") };
    assert!(matches!(end, End::NoReply(NoReply::NoRoom { limit: 5 })));
    assert_eq!(written(&outbox), cancel_of(id));
    assert!(!requests.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn pending_requests_deadline_moved_up_alone_passes_in_time() {
    let requests = PendingRequests::new(10, None, Handle::current());
    let start = Instant::now();
    let (id, reply) = requests.begin(Duration::from_secs(20), true).unwrap();
    tokio::task::yield_now().await;
    assert!(requests.set_deadline(id, start.checked_add(Duration::from_secs(2))));
    assert!(matches!(reply.await, Ok(Err(NoReply::TimedOut))));
    assert_eq!(start.elapsed().as_secs(), 2);
    assert!(!requests.set_deadline(id, None), "it waits no more");
}
