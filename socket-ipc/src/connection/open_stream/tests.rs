//! Streams whose lines arrive by hand.

use std::sync::mpsc;
use std::task::Waker;

use tokio::runtime::Handle;

use super::*;
use crate::connection::outbox::{Outbox, OutboxBudget};
use crate::connection::pending_requests::Cancels;
use crate::limits::ITEM_COST;
use crate::metrics::Metrics;

/// An idle timeout bounds waits: while a reader has an item, no deadline runs.
#[test]
fn idle_timeout_item_that_comes_meanwhile_leaves_no_deadline() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let outbox = Arc::new(Outbox::new(1_000, OutboxBudget::new(1_000_000), Metrics::new()));
    let pending_requests = PendingRequests::new(10, None, runtime.handle().clone());
    let link = Link { outbox, pending_requests: Arc::clone(&pending_requests) };
    let hour = Duration::from_secs(3_600);
    let options = StreamOptions { window: u64::MAX, timeout: hour, idle_timeout: Some(hour) };
    let mut stream =
        OpenStream::begin::<ErrorReply>(&link, Wire::JSON_LINES, "count", options, |_, _| Ok(())).unwrap();
    let id = stream.id;
    let (go, start) = mpsc::channel::<()>();
    let session = std::thread::spawn({
        let pending_requests = Arc::clone(&pending_requests);
        move || {
            while start.recv().is_ok() {
                assert!(pending_requests.resolve(id, br#"{"topic":"count","message":1,"more":true,"re":1}"#));
            }
        }
    });
    for round in 0..20_000 {
        go.send(()).unwrap();
        let cx = Context::from_waker(Waker::noop());
        loop {
            if stream.poll_line(&cx).is_ready() {
                break;
            }
        }
        while stream.lines.next().is_some() {}
        assert_eq!(pending_requests.deadline_of(id), None, "in round {round}");
    }
    drop(go);
    session.join().unwrap();
}

/// What a short item takes of the window.
const COST: u64 = ITEM_COST as u64;

/// A request of a stream, whose items are any JSON.
#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "count", stream = serde_json::Value)]
struct Count;

/// A stream that was requested, where its lines arrive, and where its control lines go.
fn requested(window: u64) -> (OpenStream, Arc<PendingRequests>, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::new(1_000, OutboxBudget::new(usize::MAX), Metrics::new()));
    let cancels = Cancels::new(&outbox, &Arc::new(Wire::JSON_LINES));
    let pending_requests = PendingRequests::new(10, cancels, Handle::current());
    let link = Link { outbox: Arc::clone(&outbox), pending_requests: Arc::clone(&pending_requests) };
    let options = StreamOptions { window, timeout: Duration::MAX, idle_timeout: None };
    let stream = OpenStream::begin::<ErrorReply>(&link, Wire::JSON_LINES, "count", options, |_, _| Ok(()));
    (stream.unwrap(), pending_requests, outbox)
}

fn item(value: &str) -> String {
    format!(r#"{{"topic":"count","message":{value},"more":true,"re":1}}"#)
}

fn poll_item(stream: &mut OpenStream) -> Poll<Option<Result<serde_json::Value, RequestError>>> {
    stream.poll_item(&mut Context::from_waker(Waker::noop()), read_items::<Count>())
}

/// The control lines that are queued, which are written by that.
fn written(outbox: &Outbox) -> String {
    let Some(segment) = outbox.take() else { return String::new() };
    outbox.written(&segment, segment.bytes().len(), true);
    String::from_utf8(segment.bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn open_stream_ready_items_use_up_the_budget_of_the_task() {
    let (mut stream, requests, _outbox) = requested(u64::MAX);
    for _ in 0..3_000 {
        assert!(requests.resolve(1, item("1").as_bytes()));
    }
    let mut count = 0;
    while poll_item(&mut stream).is_ready() {
        count += 1;
    }
    // A task has 128 units.
    assert!((100 * ITEMS_A_UNIT..=129 * ITEMS_A_UNIT).contains(&count), "{count}");
}

#[tokio::test]
async fn open_stream_half_of_the_window_read_is_renewed_once_until_that_is_written() {
    let (mut stream, requests, outbox) = requested(8 * COST);
    let mut read = || {
        assert!(requests.resolve(1, item("1").as_bytes()));
        assert!(matches!(poll_item(&mut stream), Poll::Ready(Some(Ok(_)))));
    };
    (0..3).for_each(|_| read());
    assert_eq!(written(&outbox), "");
    read();
    // Nothing is written, so the next renewal waits, and has what was read meanwhile.
    let renewal =
        |items| format!("{{\"topic\":\"socket-ipc.more\",\"message\":[1,{}],\"re\":0}}\n", items * COST);
    (0..6).for_each(|_| read());
    assert_eq!(written(&outbox), renewal(4));
    read();
    assert_eq!(written(&outbox), renewal(7));
}

#[tokio::test]
async fn open_stream_dropped_before_its_end_is_cancelled() {
    for ends in [false, true] {
        let (stream, requests, outbox) = requested(u64::MAX);
        if ends {
            assert!(requests.resolve(1, br#"{"topic":"count","message":null,"re":1}"#));
        }
        drop(stream);
        assert_eq!(written(&outbox).contains("socket-ipc.cancel"), !ends);
    }
}

#[tokio::test]
async fn open_stream_items_are_read_apart_from_what_their_lines_begin_with() {
    let (mut stream, requests, _outbox) = requested(u64::MAX);
    let spaced = r#"{"topic" : "count","message":[5],"more":true,"re":1}"#;
    let lines = [
        (item("1"), "1"),
        (item("{\"re\":1}"), "{\"re\":1}"),
        (spaced.to_owned(), "[5]"),
        (item("null"), "null"),
    ];
    for (line, value) in lines {
        assert!(requests.resolve(1, line.as_bytes()));
        let Poll::Ready(Some(Ok(read))) = poll_item(&mut stream) else { panic!("no item") };
        assert_eq!(read.to_string(), value);
    }
}
