//! What an envelope is beside its topic and message: a message, a question, or an answer.

/// Whether an envelope is a message, a question or an answer.
///
/// A question has an `id` behind its message, and its answer the same number as `re`. Peers that know nothing of them
/// ignore both.
///
/// ```
/// use socket_ipc::{Kind, Wire};
///
/// let kind = |text: &str| Wire::JSON_LINES.decode(text.as_bytes()).map(|envelope| envelope.kind);
/// assert_eq!(kind(r#"{"topic":"add","message":[1,2]}"#)?, Kind::Message);
/// assert_eq!(kind(r#"{"topic":"add","message":[1,2],"id":7}"#)?, Kind::Question(7));
/// assert_eq!(kind(r#"{"topic":"sum","message":3,"re":7}"#)?, Kind::Answer(7));
/// # Ok::<(), socket_ipc::EnvelopeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing is expected back: neither `id` nor `re`.
    #[default]
    Message,
    /// Its `id`, which the answer repeats.
    Question(u64),
    /// The `id` of the question, as `re`.
    Answer(u64),
}

/// The key of a question's number.
pub(super) const ID: &str = "id";
/// The key under which an answer has it.
pub(super) const RE: &str = "re";

impl Kind {
    /// The kind of an envelope with these numbers. What answers is no question, whatever else it says.
    pub(super) fn of(id: Option<u64>, re: Option<u64>) -> Self {
        match (id, re) {
            (_, Some(re)) => Self::Answer(re),
            (Some(id), None) => Self::Question(id),
            (None, None) => Self::Message,
        }
    }

    /// The kind of what answers this: a question without a number is answered with a message.
    pub(crate) fn answer(self) -> Self {
        match self {
            Self::Question(id) => Self::Answer(id),
            Self::Message | Self::Answer(_) => Self::Message,
        }
    }
}
