//! Why a responder was not attached.

/// Why a responder was not attached. An existing one stays.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{RegisterError, Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = i64)]
/// struct Add { left: i64, right: i64 }
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.respond::<Add>(|add, _client_id| add.left + add.right)?;
/// let second = server.respond::<Add>(|_, _client_id| 0);
/// assert!(matches!(second, Err(RegisterError::AlreadyRegistered { topic, .. }) if topic == "add"));
/// # Ok::<(), RegisterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The topic has a responder already.
    #[error(
        "`{rejected}` can't respond to `{topic}`: `{existing}` does; remove that one with `off`, or choose another topic"
    )]
    AlreadyRegistered {
        /// The topic.
        topic: String,
        /// The request type of the existing responder.
        existing: &'static str,
        /// The request type of the responder that was not attached.
        rejected: &'static str,
    },
    /// The wire has no streams: it is one of the Node presets, whose programs know no control lines. A stream could be
    /// neither paced nor cancelled.
    #[error(
        "can't respond to `{topic}` with a stream: streams need control lines, and the wires of the Node library have none"
    )]
    NoStreams {
        /// The topic.
        topic: String,
    },
}
