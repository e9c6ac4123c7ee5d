//! What NATS messages say beside their subject and their payload.

use async_nats::{HeaderMap, Message, StatusCode};

/// What a message is: `message`, `request`, or `cancel`. Without it, it is a request if it has a reply subject.
const KIND: &str = "Socket-Ipc-Kind";

/// The payload is an error reply.
const ERROR: &str = "Socket-Ipc-Error";

/// The request is being worked on.
const WORKING: &str = "Socket-Ipc-Working";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Request,
    Cancel,
    /// One that this version does not know.
    Other,
}

impl Kind {
    pub(super) fn of(message: &Message) -> Self {
        match message.headers.as_ref().and_then(|headers| headers.get(KIND)).map(|kind| kind.as_str()) {
            Some("message") => Self::Message,
            Some("request") => Self::Request,
            Some("cancel") => Self::Cancel,
            Some(_) => Self::Other,
            None if message.reply.is_some() => Self::Request,
            None => Self::Message,
        }
    }
}

fn one(name: &'static str, value: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    headers
}

pub(super) fn message() -> HeaderMap {
    one(KIND, "message")
}

pub(super) fn cancel() -> HeaderMap {
    one(KIND, "cancel")
}

pub(super) fn error() -> HeaderMap {
    one(ERROR, "true")
}

pub(super) fn working() -> HeaderMap {
    one(WORKING, "true")
}

fn has(message: &Message, name: &str) -> bool {
    message.headers.as_ref().is_some_and(|headers| headers.get(name).is_some())
}

pub(super) fn is_working(message: &Message) -> bool {
    has(message, WORKING)
}

pub(super) fn is_error(message: &Message) -> bool {
    has(message, ERROR)
}

/// Whether NATS itself says that nobody subscribes to the subject.
pub(super) fn is_nobody(message: &Message) -> bool {
    message.status == Some(StatusCode::NO_RESPONDERS)
}
