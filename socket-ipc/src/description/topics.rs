//! What a description says of one topic.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::topic::direction::{Direction, Travels};

/// One topic, in one direction. A topic that travels both ways is described twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopicDescription {
    /// The topic.
    pub topic: String,
    /// Where its messages travel.
    pub direction: Direction,
    /// The topic of the replies, which travel back, where this one is a request: its own, or its `reply_topic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Whether this one is a request whose reply is a stream of items. They travel back under this topic.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// The JSON schema of its messages, draft 2020-12, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The JSON schema of the replies, if the topic is a request and the schema is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_schema: Option<Value>,
    /// The JSON schema of the items, if the reply is a stream and the schema is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_schema: Option<Value>,
    /// The JSON schema of the request's own type of errors, the `data` of its error replies, if it has one and that is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_schema: Option<Value>,
}

impl TopicDescription {
    /// Describes a topic of which nothing else is known.
    ///
    /// ```
    /// use socket_ipc::description::{Direction, TopicDescription};
    ///
    /// let mut topic = TopicDescription::new("add", Direction::TowardServer);
    /// topic.reply = Some("sum".to_owned());
    /// ```
    pub fn new(topic: impl Into<String>, direction: Direction) -> Self {
        Self {
            topic: topic.into(),
            direction,
            reply: None,
            stream: false,
            schema: None,
            reply_schema: None,
            item_schema: None,
            error_schema: None,
        }
    }
}

impl From<&Travels> for TopicDescription {
    fn from(travels: &Travels) -> Self {
        Self {
            reply: travels.reply.map(str::to_owned),
            stream: travels.is_stream,
            ..Self::new(travels.topic, travels.direction)
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
