//! Why a responder was not attached.

/// Why a responder was not attached. The one that there is goes on responding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Somebody responds to the topic already.
    #[error(
        "`{refused}` can't respond to `{topic}`: `{existing}` does; remove that one with `off`, or choose another topic"
    )]
    AlreadyRegistered {
        /// The topic.
        topic: String,
        /// The type of the requests that the responder takes which is there.
        existing: &'static str,
        /// The type of the requests that the responder takes which was refused.
        refused: &'static str,
    },
    /// The replies would travel under the topic of the requests. If the peer responded to the topic, too, a single message
    /// without a number would be replied to by each side for ever.
    #[error("`{topic}` can't be replied to under its own topic: choose another one for the replies")]
    RepliesToItself {
        /// The topic.
        topic: String,
    },
}
