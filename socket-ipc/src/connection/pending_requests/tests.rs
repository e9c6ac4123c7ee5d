use super::*;

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
