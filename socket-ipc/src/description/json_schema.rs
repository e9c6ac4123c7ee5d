//! One JSON schema of all envelopes of a description. No I/O.

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, document, name_for};
use super::{Description, Direction};
use crate::error::error_reply::ERROR_TOPIC;

const TO_SERVER: &str = "ToServer";
const TO_CLIENT: &str = "ToClient";

/// Makes the schema of a description.
pub(super) fn json_schema(description: &Description) -> Value {
    let mut definitions = Definitions::new(&[TO_SERVER, TO_CLIENT]);
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let (mut errors_to_server, mut errors_to_client) = (None, None);
    let key = &*description.wire.message_key;
    for topic in &description.topics {
        let mut add = |schema: &Option<Value>, name: &str| {
            schema
                .as_ref()
                .map_or(Value::Bool(true), |schema| definitions.add(schema, &name_for(name), false))
        };
        let (there, back, errors) = match topic.direction {
            Direction::TowardServer => (&mut to_server, &mut to_client, &mut errors_to_client),
            Direction::TowardClient => (&mut to_client, &mut to_server, &mut errors_to_server),
        };
        let message = add(&topic.schema, &topic.topic);
        if topic.stream {
            let window = json!({"type": ["integer", "null"], "minimum": 0});
            there.push(envelope(&topic.topic, key, message, [("window", window), ("id", id())]));
            let item = add(&topic.item_schema, &format!("{} item", topic.topic));
            back.extend(lines_of_stream(&topic.topic, key, item));
        } else {
            there.push(envelope(&topic.topic, key, message, []));
            let Some(reply_topic) = &topic.reply else { continue };
            let message = add(&topic.reply_schema, &format!("{} reply", topic.topic));
            let reply = envelope(reply_topic, key, message, [("re", re(*reply_topic != topic.topic))]);
            if !back.contains(&reply) {
                back.push(reply);
            }
        }
        let errors: &mut Vec<Value> = errors.get_or_insert_default();
        if topic.error_schema.is_some() {
            let error = add(&topic.error_schema, &format!("{} error", topic.topic));
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }
    for (envelopes, errors) in [(&mut to_server, errors_to_server), (&mut to_client, errors_to_client)] {
        envelopes.extend(errors.map(|errors| error_reply(key, errors)));
    }
    let mut types = document(definitions.types());
    for (name, envelopes) in [(TO_SERVER, to_server), (TO_CLIENT, to_client)] {
        // `false` matches no value. An empty `anyOf` is not allowed.
        let any = if envelopes.is_empty() { json!(false) } else { json!({"anyOf": envelopes}) };
        types.insert(name.to_owned(), any);
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "anyOf": [{"$ref": "#/$defs/ToServer"}, {"$ref": "#/$defs/ToClient"}],
        "$defs": types,
    });
    if let Some(protocol) = &description.protocol {
        schema["title"] = json!(protocol);
    }
    schema
}

/// The schemas of the lines that belong to a stream, beside its error reply: its start, an item, and its end.
fn lines_of_stream(topic: &str, key: &str, item: Value) -> [Value; 3] {
    let flag = || json!({"const": true});
    [
        line(topic, [("started", flag()), ("re", id())]),
        envelope(topic, key, item, [("more", flag()), ("re", id())]),
        envelope(topic, key, json!({"type": "null"}), [("re", id())]),
    ]
}

/// The schema of an envelope with a message. All of its keys are required.
fn envelope<const N: usize>(topic: &str, key: &str, message: Value, others: [(&str, Value); N]) -> Value {
    line(topic, std::iter::once((key, message)).chain(others))
}

fn line<'k, I: IntoIterator<Item = (&'k str, Value)>>(topic: &str, others: I) -> Value {
    let mut properties = Map::new();
    properties.insert("topic".to_owned(), json!({"const": topic}));
    let others = others.into_iter();
    properties.extend(others.map(|(key, value)| (key.to_owned(), value)));
    let mut required: Vec<_> = properties.keys().cloned().collect();
    required.sort();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The schema of the id of a request, which its reply repeats.
fn id() -> Value {
    re(false)
}

/// The schema of the `re` of a reply: the id of its request, or `null` where the request has none.
fn re(may_be_null: bool) -> Value {
    let types: &[&str] = if may_be_null { &["integer", "string", "null"] } else { &["integer", "string"] };
    json!({"type": types})
}

/// The schema of the error replies that carry one of these types of errors, or none.
fn error_reply(key: &str, errors: Vec<Value>) -> Value {
    let mut properties = json!({"code": {"type": "string"}, "text": {"type": "string"}});
    if !errors.is_empty() {
        properties["data"] = json!({"anyOf": errors});
    }
    let message = json!({"type": "object", "properties": properties, "required": ["code", "text"]});
    envelope(ERROR_TOPIC, key, message, [("error", json!({"const": true})), ("re", re(true))])
}
