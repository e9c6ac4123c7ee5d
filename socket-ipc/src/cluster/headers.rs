//! What NATS messages say beside their subject and their payload.

use async_nats::{HeaderMap, Message, StatusCode};

use crate::error::error_reply::ErrorReply;
use crate::wire::{byte_count, shortened};

/// What a message is: `message`, `request`, `stream`, `more` or `cancel`. Without it, it is a request if it has a reply
/// subject.
const KIND: &str = "Socket-Ipc-Kind";

/// The payload is an error reply. The value says whose it is.
const ERROR: &str = "Socket-Ipc-Error";

/// The request is being worked on.
const WORKING: &str = "Socket-Ipc-Working";

/// How many bytes of items the requester of a stream takes until it says that it takes more.
const WINDOW: &str = "Socket-Ipc-Window";

/// The number of an item of a stream.
const ITEM: &str = "Socket-Ipc-Item";

/// The stream has ended.
const END: &str = "Socket-Ipc-End";

/// The trace that a request is sent in, as a `traceparent`.
#[cfg(feature = "otel")]
const TRACE: &str = "Socket-Ipc-Trace";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Request,
    /// A request whose reply is a stream.
    Stream,
    /// The requester of a stream takes more items.
    More,
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
            Some("stream") => Self::Stream,
            Some("more") => Self::More,
            Some("cancel") => Self::Cancel,
            Some(_) => Self::Other,
            None if message.reply.is_some() => Self::Request,
            None => Self::Message,
        }
    }
}

/// How many bytes of items the requester of a stream takes. Any other text is `Err`.
pub(super) fn window(message: &Message) -> Result<Option<u64>, String> {
    let Some(value) = header(message, WINDOW) else { return Ok(None) };
    byte_count(value).map(Some).ok_or_else(|| shortened(value))
}

/// The number of the first item in the payload, or of the one that would come next. Items count from 1.
pub(super) fn item(message: &Message) -> Option<u64> {
    header(message, ITEM)?.parse().ok()
}

/// The trace that a request was sent in, as the JSON text of a `traceparent`.
pub(super) fn trace(message: &Message) -> Option<String> {
    #[cfg(feature = "otel")]
    return header(message, TRACE).and_then(|value| serde_json::to_string(value).ok());
    #[cfg(not(feature = "otel"))]
    return {
        let _ = message;
        None
    };
}

/// Has a request carry the trace that it is sent in.
pub(super) fn with_trace(headers: Option<HeaderMap>) -> Option<HeaderMap> {
    #[cfg(feature = "otel")]
    if let Some(trace) = crate::trace::current() {
        let mut headers = headers.unwrap_or_default();
        headers.insert(TRACE, trace.trim_matches('"'));
        return Some(headers);
    }
    headers
}

fn header<'m>(message: &'m Message, name: &'static str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(|value| value.as_str())
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

pub(super) fn stream(window: u64) -> HeaderMap {
    let mut headers = one(KIND, "stream");
    headers.insert(WINDOW, window.to_string());
    headers
}

pub(super) fn more() -> HeaderMap {
    one(KIND, "more")
}

/// Of items of a stream, the first of which has this number.
pub(super) fn items(first: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ITEM, first.to_string());
    headers
}

/// Of the end of a stream, behind its items.
pub(super) fn end(next: u64) -> HeaderMap {
    let mut headers = one(END, "true");
    headers.insert(ITEM, next.to_string());
    headers
}

/// Of an error reply, behind the items of a stream where `next` is the number of the next one.
pub(super) fn error(from: ErrorFrom, next: Option<u64>) -> HeaderMap {
    let from = ERRORS_FROM.iter().find(|(_, other)| *other == from);
    let mut headers = one(ERROR, from.map_or("true", |(name, _)| name));
    if let Some(next) = next {
        headers.insert(ITEM, next.to_string());
    }
    headers
}

/// Of a sign of life. `next` is the number of the next item of a stream that has begun.
pub(super) fn working(next: Option<u64>) -> HeaderMap {
    let mut headers = one(WORKING, "true");
    if let Some(next) = next {
        headers.insert(ITEM, next.to_string());
    }
    headers
}

pub(super) fn is_working(message: &Message) -> bool {
    header(message, WORKING).is_some()
}

/// Whether it is the end of a stream.
pub(super) fn is_end(message: &Message) -> bool {
    header(message, END).is_some()
}

/// The error reply that the payload is, and whose; `None` where it is none.
pub(super) fn error_reply(message: &Message) -> Option<(ErrorFrom, ErrorReply)> {
    let value = header(message, ERROR)?;
    let known = ERRORS_FROM.iter().find(|(name, _)| *name == value);
    let from = known.map_or(ErrorFrom::Responder, |(_, from)| *from);
    let error = serde_json::from_slice(&message.payload)
        .unwrap_or_else(|_| ErrorReply::new(ErrorReply::FAILED, String::from_utf8_lossy(&message.payload)));
    Some((from, error))
}

/// Whether NATS itself says that nobody subscribes to the subject.
pub(super) fn is_nobody(message: &Message) -> bool {
    message.status == Some(StatusCode::NO_RESPONDERS)
}
