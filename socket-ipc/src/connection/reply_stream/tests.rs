//! Streams whose lines arrive by hand.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::*;
use crate::connection::open_stream::read_raw_items;
use crate::connection::outbox::{Outbox, OutboxBudget};
use crate::connection::{Link, PendingRequests};
use crate::metrics::Metrics;
use crate::wire::Wire;
use crate::wire::raw_message::RawMessage;

type Raw = RawMessage<'static>;

const STARTED: &str = r#"{"topic":"count","message":null,"started":true,"re":1}"#;
const ITEM: &str = r#"{"topic":"count","message":1,"more":true,"re":1}"#;
const END: &str = r#"{"topic":"count","message":null,"re":1}"#;
const NO_STREAM: &str = r#"{"topic":"count","message":5,"re":1}"#;

/// A stream that was requested, and where its lines arrive.
fn requested() -> (ReplyStream<Raw, Raw>, Arc<PendingRequests>) {
    let outbox = Arc::new(Outbox::new(1_000, OutboxBudget::new(usize::MAX), Metrics::new()));
    let pending_requests = PendingRequests::new(10, None, Handle::current());
    let link = Link { outbox, pending_requests: Arc::clone(&pending_requests) };
    let send = move |options| OpenStream::begin(&link, Wire::JSON_LINES, "count", options, |_, _| Ok(()));
    let mut stream = ReplyStream::new(&Limits::default(), read_raw_items(), send);
    assert!(!stream.is_terminated());
    stream.send();
    (stream, pending_requests)
}

#[tokio::test]
async fn reply_stream_is_terminated_once_its_end_was_read() {
    let (mut stream, requests) = requested();
    for line in [STARTED, ITEM, END] {
        assert!(requests.resolve(1, line.as_bytes()));
        assert!(!stream.is_terminated());
    }
    assert!(stream.started().await.is_ok());
    // As a `Stream`: its own `next` is in the other tests.
    assert!(futures_util::StreamExt::next(&mut stream).await.unwrap().is_ok());
    assert!(!stream.is_terminated());
    assert!(stream.next().await.is_none());
    assert!(stream.is_terminated());
}

#[tokio::test]
async fn reply_stream_is_terminated_once_its_error_was_returned() {
    for waits_for_start in [false, true] {
        let (mut open, requests) = requested();
        assert!(requests.resolve(1, NO_STREAM.as_bytes()));
        let topic = || "count".to_owned();
        let failed = ReplyStream::failed(RequestError::NotAStream { topic: topic() }, read_raw_items());
        for stream in [&mut open, &mut { failed }] {
            assert!(!stream.is_terminated());
            let error =
                if waits_for_start { stream.started().await } else { stream.next().await.unwrap().map(drop) };
            assert!(matches!(error, Err(RequestError::NotAStream { .. })), "{error:?}");
            assert!(stream.is_terminated());
            assert!(stream.next().await.is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reply_stream_idle_timeout_set_after_the_start_ends_it() {
    const IDLE: Duration = Duration::from_secs(20);
    let (mut stream, requests) = requested();
    assert!(requests.resolve(1, STARTED.as_bytes()));
    stream.started().await.unwrap();
    let mut stream = stream.idle_timeout(IDLE);
    let end = timeout(2 * IDLE, stream.next()).await.expect("it has an idle timeout");
    assert!(matches!(end, Some(Err(RequestError::Timeout { timeout: IDLE, .. }))), "{end:?}");
    assert!(stream.is_terminated());
}
