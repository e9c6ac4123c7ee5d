//! What arrives for the requests of this node, and for the requests that it has taken.

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;

use super::headers::{self, Kind};
use super::shared::Shared;
use super::subject::Inbox;

/// Takes replies, signs of life and cancels.
pub(super) async fn run(shared: &Shared, mut messages: Subscriber) {
    while let Some(message) = messages.next().await {
        take(shared, message);
    }
}

fn take(shared: &Shared, message: Message) {
    match shared.subjects.read_inbox(&message.subject) {
        None => shared.hub.report_refused(&message.subject, "it is neither a reply nor a control"),
        Some(Inbox::Control(number)) => match Kind::of(&message) {
            Kind::Cancel => drop(shared.taken.cancel(number)),
            _ => shared.hub.report_refused(&message.subject, "a control of a kind that has no meaning here"),
        },
        Some(Inbox::Reply(number)) if headers::is_working(&message) => {
            let control = message.reply.filter(|control| shared.subjects.is_control(control));
            shared.pending.sign(number, control);
        }
        Some(Inbox::Reply(number)) => shared.pending.reply(number, message),
    }
}
