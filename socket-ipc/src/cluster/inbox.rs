//! What arrives for the requests of this node, and for the requests that it has taken.

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::headers::{self, Kind};
use super::shared::Shared;
use super::subject::Inbox;
use crate::wire::byte_count;

/// Takes replies, items, signs of life and controls.
pub(super) async fn run(shared: &Shared, mut messages: Subscriber) {
    while let Some(message) = messages.next().await {
        take(shared, message);
    }
}

fn take(shared: &Shared, message: Message) {
    match shared.subjects.read_inbox(&message.subject) {
        None => shared.hub.report_refused(&message.subject, "it is neither a reply nor a control"),
        // NATS itself says that nobody receives what is said to the requester.
        Some(Inbox::Control(number)) if headers::is_nobody(&message) => drop(shared.taken.cancel(number)),
        Some(Inbox::Control(number)) => match Kind::of(&message) {
            Kind::Cancel => drop(shared.taken.cancel(number)),
            Kind::More => match std::str::from_utf8(&message.payload).ok().and_then(byte_count) {
                Some(limit) => {
                    let timeout = shared.server.limits().request_timeout;
                    shared.taken.grant(number, limit, Instant::now().checked_add(timeout));
                }
                None => shared.hub.report_refused(&message.subject, "its payload is no number of bytes"),
            },
            _ => shared.hub.report_refused(&message.subject, "a control of a kind that has no meaning here"),
        },
        Some(Inbox::Reply(number)) if headers::is_working(&message) => {
            let next = headers::item(&message);
            let control = message.reply.filter(|control| shared.subjects.is_control(control));
            shared.pending.sign(number, control, next);
        }
        Some(Inbox::Reply(number)) => {
            let subject = message.subject.clone();
            if let Err(reason) = shared.pending.reply(number, message) {
                shared.hub.report_refused(&subject, reason);
            }
        }
    }
}
