//! How an offer ends: what NATS still hands over goes to another node that offers the topic.
//!
//! The client of NATS forgets a subscription as soon as it asks NATS to end it, and drops what NATS hands over until it
//! knows. So NATS is told how many more messages there may be: first more than are on their way, and once none has come
//! for a moment, a single one. Both ends forget the subscription behind that one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;

use super::leave::closing;
use super::offers::{Open, take};
use super::shared::Shared;
use crate::sync::lock;

/// How many more messages NATS may hand over: more than are on their way at once.
const HANDED_OVER: u64 = 256;

/// For how long the single one is waited for. Where requests are frequent, it comes soon.
const LAST: Duration = Duration::from_secs(1);

/// After so long without a message two are not on their way at once.
const QUIET: Duration = Duration::from_millis(50);

/// Ends the subscription to a topic of which `received` messages have come. `open` is dropped once the node need not wait
/// for it.
pub(super) async fn end(
    shared: &Arc<Shared>,
    topic: &str,
    mut requests: Subscriber,
    mut received: u64,
    open: Open,
) {
    for more in [HANDED_OVER, 1] {
        let last = requests.unsubscribe_after(received + more);
        if !matches!(shared.link.while_up(last).await, Some(Ok(()))) {
            return;
        }
        while let Ok(message) = tokio::time::timeout(QUIET, requests.next()).await {
            let Some(message) = message else { return };
            received += 1;
            pass_on(shared, topic, message).await;
        }
    }
    drop(open);
    let (passing, topic) = (Arc::clone(shared), topic.to_owned());
    // No task of the node: it outlives the leaving.
    shared.runtime.spawn(async move {
        if let Ok(Some(message)) = tokio::time::timeout(LAST, requests.next()).await {
            pass_on(&passing, &topic, message).await;
        }
    });
}

/// Publishes a message or request again, for another node: NATS hands none to the node that published it. Where no other
/// node offers the topic, this one takes it.
async fn pass_on(shared: &Arc<Shared>, topic: &str, message: Message) {
    if !lock(&shared.members).is_offered(topic) {
        return match message.reply.clone() {
            // Nothing of it would run any more.
            Some(reply) if shared.has_left.load(Ordering::Acquire) => {
                shared.reply_error(reply, &closing()).await
            }
            _ => take(shared, topic, message).await,
        };
    }
    let Message { subject, reply, payload, headers, .. } = message;
    let headers = headers.unwrap_or_default();
    let publish = async {
        match reply {
            Some(reply) => shared.nats.publish_with_reply_and_headers(subject, reply, headers, payload).await,
            None => shared.nats.publish_with_headers(subject, headers, payload).await,
        }
    };
    if let Some(Err(error)) = shared.link.while_up(publish).await {
        tracing::warn!(%error, topic, "could not pass on what NATS handed over");
    }
}
