//! What can happen to a connection.

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event {
    /// A message arrives for a listener that returns at once.
    Note,
    /// A message arrives for a listener that has to be waited for.
    Wait,
    /// A request arrives for an asynchronous responder.
    RequestArrives,
    /// The first or the second half of a message arrives.
    Half,
    /// The reply to a request of this endpoint arrives.
    Reply,
    /// This endpoint sends a request.
    Request,
    /// The peer sends no more.
    Finish,
    /// The peer has closed its socket.
    Leave,
    /// The connection is reset, and what was on its way is lost.
    Reset,
    /// A running responder gets what it waits for.
    ResponderReady,
    /// The listener that is waited for returns.
    ListenerReady,
    /// Another task sends a message, of which the outbox takes two.
    Send,
    /// The peer stops taking what is written, or takes it again.
    Block,
    /// Time passes: a second, or as long as the stream may take nothing.
    Second,
    Stall,
    /// The endpoint begins to close, or ends the connection at once.
    Drain,
    Abort,
}

use Event::*;

pub(super) const EVENTS: [Event; 17] = [
    Note,
    Wait,
    RequestArrives,
    Half,
    Reply,
    Request,
    Finish,
    Leave,
    Reset,
    ResponderReady,
    ListenerReady,
    Send,
    Block,
    Second,
    Stall,
    Drain,
    Abort,
];
