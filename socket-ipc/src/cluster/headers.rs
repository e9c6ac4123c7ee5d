//! What NATS messages say beside their subject and their payload.

use async_nats::{HeaderMap, Message, StatusCode};

/// What a message is: `message`, `request`, or `cancel`. Without it, it is a request if it has a reply subject.
const KIND: &str = "Socket-Ipc-Kind";

/// The payload is an error reply. The value says whose it is.
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

/// Whose error reply it is. The codes of a responder are its own, so they can't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorFrom {
    Responder,
    /// The node: the client is not connected.
    UnknownClient,
    /// The node: the connection to the client was lost before the reply came.
    ConnectionLost,
}

const ERRORS_FROM: [(&str, ErrorFrom); 3] = [
    ("true", ErrorFrom::Responder),
    ("unknown-client", ErrorFrom::UnknownClient),
    ("connection-lost", ErrorFrom::ConnectionLost),
];

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

pub(super) fn error(from: ErrorFrom) -> HeaderMap {
    let from = ERRORS_FROM.iter().find(|(_, other)| *other == from);
    one(ERROR, from.map_or("true", |(name, _)| name))
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

/// Whose error reply the payload is; `None` where it is none.
pub(super) fn error_from(message: &Message) -> Option<ErrorFrom> {
    let value = message.headers.as_ref()?.get(ERROR)?.as_str();
    let known = ERRORS_FROM.iter().find(|(name, _)| *name == value);
    Some(known.map_or(ErrorFrom::Responder, |(_, from)| *from))
}

/// Whether NATS itself says that nobody subscribes to the subject.
pub(super) fn is_nobody(message: &Message) -> bool {
    message.status == Some(StatusCode::NO_RESPONDERS)
}
