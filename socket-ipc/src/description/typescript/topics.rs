//! What travels in each direction, by topic.

use serde_json::{Value, json};

use crate::description::definitions::{Definitions, name_for};
use crate::description::{Description, Direction, TopicDescription};
use crate::error::error_reply::ERROR_TOPIC;

/// The schemas of each topic, in the order in which the server describes the topics.
pub(super) type Group<'d> = Vec<(&'d str, Vec<Value>)>;

/// The schemas of all topics. They refer to the types in `definitions`.
pub(super) struct Topics<'d> {
    pub(super) definitions: Definitions,
    pub(super) to_server: Group<'d>,
    pub(super) to_client: Group<'d>,
    pub(super) replies: Group<'d>,
    pub(super) streams: Group<'d>,
    pub(super) errors: Group<'d>,
    pub(super) reply_topics: Group<'d>,
}

impl<'d> Topics<'d> {
    /// `speaks_node`: a program on the Node library gets replies as plain messages, so their topics are listed, too.
    pub(super) fn of(description: &'d Description, reserved: &[&'static str], speaks_node: bool) -> Self {
        let mut topics = Self {
            definitions: Definitions::merging(reserved),
            to_server: Vec::new(),
            to_client: Vec::new(),
            replies: Vec::new(),
            streams: Vec::new(),
            errors: Vec::new(),
            reply_topics: Vec::new(),
        };
        for topic in &description.topics {
            topics.add(topic, speaks_node);
        }
        let has_errors = |topic: &TopicDescription| {
            topic.direction == Direction::TowardServer
                && reply_topic(topic).is_some_and(|it| it != topic.topic)
        };
        if speaks_node && description.topics.iter().any(has_errors) {
            let error = topics.definitions.add(&error_reply(), "ErrorReply", false);
            entry(&mut topics.to_client, ERROR_TOPIC).push(error);
        }
        topics
    }

    fn add(&mut self, topic: &'d TopicDescription, speaks_node: bool) {
        let to_server = topic.direction == Direction::TowardServer;
        let definitions = &mut self.definitions;
        let mut schema = |schema: &Option<Value>, name: &str, is_sent: bool| {
            schema
                .as_ref()
                .map_or(Value::Bool(true), |schema| definitions.add(schema, &name_for(name), is_sent))
        };
        let name = &*topic.topic;
        let (there, back) = match topic.direction {
            Direction::TowardServer => (&mut self.to_server, &mut self.to_client),
            Direction::TowardClient => (&mut self.to_client, &mut self.to_server),
        };
        entry(there, name).push(schema(&topic.schema, name, to_server));
        // The lines of a stream belong to its request: they are no messages.
        if topic.stream {
            let item = schema(&topic.item_schema, &format!("{name} item"), !to_server);
            entry(&mut self.streams, name).push(item);
        }
        let reply_topic = reply_topic(topic);
        let reply = reply_topic.map(|_| schema(&topic.reply_schema, &format!("{name} reply"), !to_server));
        if topic.error_schema.is_some() && (topic.stream || reply.is_some()) {
            let error = schema(&topic.error_schema, &format!("{name} error"), !to_server);
            entry(&mut self.errors, name).push(error);
        }
        let (Some(reply_topic), Some(reply)) = (reply_topic, reply) else { return };
        // The Node library has no ids. It gets a reply only as a message of a topic of its own.
        if speaks_node && reply_topic != name {
            entry(back, reply_topic).push(reply.clone());
            entry(&mut self.reply_topics, name).push(json!({"const": reply_topic}));
        }
        entry(&mut self.replies, name).push(reply);
    }
}

/// The topic of the single reply to a request.
pub(super) fn reply_topic(topic: &TopicDescription) -> Option<&str> {
    topic.reply.as_deref().filter(|_| !topic.stream)
}

fn entry<'g, 'd>(group: &'g mut Group<'d>, topic: &'d str) -> &'g mut Vec<Value> {
    let at = group.iter().position(|(other, _)| *other == topic).unwrap_or_else(|| {
        group.push((topic, Vec::new()));
        group.len() - 1
    });
    &mut group[at].1
}

/// The schema of [`ErrorReply`](crate::ErrorReply).
fn error_reply() -> Value {
    json!({
        "description": "Why a request failed: a code for programs, a text for people, and the data of `Errors` where it is there.",
        "type": "object",
        "properties": {"code": {"type": "string"}, "text": {"type": "string"}, "data": true},
        "required": ["code", "text"],
    })
}
