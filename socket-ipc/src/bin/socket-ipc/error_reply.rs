//! An error reply to a message: it comes as a plain message, as the message has no number that it could repeat.

use socket_ipc::{ErrorReply, RawMessage};

/// The topic that it comes under.
pub(crate) const ERROR: &str = "error";

/// The error reply that a message under [`ERROR`] is. One without a code and a text is a message of the program's own.
pub(crate) fn read(message: &RawMessage<'_>) -> Option<ErrorReply> {
    message.decode::<ErrorReply>().ok()
}

/// An error reply in words.
pub(crate) fn shown(reply: &ErrorReply) -> String {
    let data = reply.data().map_or_else(String::new, |data| format!("; its data: {}", data.as_str()));
    format!("{} ({}){data}", reply.text(), reply.code())
}
