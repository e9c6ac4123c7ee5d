//! The events of a connection.

/// One event of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event {
    /// A message arrives for a listener that returns at once.
    Note,
    /// A message arrives for an asynchronous listener.
    Wait,
    /// A request arrives for an asynchronous responder.
    RequestArrives,
    /// A request of a stream arrives, with a window for one item. The stream is endless.
    StreamArrives,
    /// The requester of the stream takes another item.
    MoreArrives,
    /// The requester of the stream gives up.
    CancelArrives,
    /// The first or the second half of a message arrives.
    Half,
    /// The reply to the first request of this endpoint arrives, or the end of that stream.
    Reply,
    /// An item of the first stream that this endpoint has requested arrives.
    Item,
    /// This endpoint sends a request.
    Request,
    /// This endpoint requests a stream, with a window for one item.
    RequestStream,
    /// The peer sends no more.
    Finish,
    /// The peer has closed its socket.
    Leave,
    /// The connection is reset, and the bytes that have not been read are lost.
    Reset,
    /// A running responder finishes.
    ResponderReady,
    /// The asynchronous listener that runs finishes.
    ListenerReady,
    /// Another task sends a message. The outbox has room for two.
    Send,
    /// Another task sends a message of which only the latest matters.
    Value,
    /// The peer stops reading, or reads again.
    Block,
    /// Time passes: a second.
    Second,
    /// Time passes: `write_stall`.
    Stall,
    /// The endpoint closes the connection, and drains its outbox.
    Drain,
    /// The endpoint ends the connection at once.
    Abort,
}

use Event::*;

pub(super) const EVENTS: [Event; 23] = [
    Note,
    Wait,
    RequestArrives,
    StreamArrives,
    MoreArrives,
    CancelArrives,
    Half,
    Reply,
    Item,
    Request,
    RequestStream,
    Finish,
    Leave,
    Reset,
    ResponderReady,
    ListenerReady,
    Send,
    Value,
    Block,
    Second,
    Stall,
    Drain,
    Abort,
];
