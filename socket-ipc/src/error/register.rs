//! Why a responder was not attached.

/// Why a responder was not attached. The existing one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The topic has a responder already.
    #[error(
        "`{refused}` can't respond to `{topic}`: `{existing}` does; remove that one with `off`, or choose another topic"
    )]
    AlreadyRegistered {
        /// The topic.
        topic: String,
        /// The request type of the existing responder.
        existing: &'static str,
        /// The request type of the responder that was not attached.
        refused: &'static str,
    },
}
