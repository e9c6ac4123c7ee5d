//! What a router reports to its owner.

use crate::error::MessageError;
use crate::error::error_reply::ErrorReply;
use crate::wire::{ReplyTo, RequestId};

/// Where a router reports errors, panics and replies, and sends error replies.
pub(crate) trait Report<F> {
    fn message_error(&self, error: MessageError, from: F);
    /// `listens_for` names what the listener is registered for.
    fn listener_panicked(&self, listens_for: String, from: F, panic: String);
    /// A reply to the request `re` arrived, in this envelope.
    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], from: F);
    /// A message is about to be dispatched. The spans of its responders belong to its trace while the returned value is
    /// there.
    #[cfg(feature = "otel")]
    fn trace(&self, _trace: Option<&str>, _from: F) -> crate::trace::Dispatching {
        crate::trace::dispatching(None, false)
    }
    /// A request, or a message whose topic has a responder, fails with this error reply.
    fn send_error_reply(&self, to: &ReplyTo, topic: &str, error_reply: ErrorReply, from: F);
}
