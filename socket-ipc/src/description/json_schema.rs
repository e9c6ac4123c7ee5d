//! One JSON schema of all envelopes of a description. No I/O.

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, document, name_for};
use super::{Description, Direction};

const TO_SERVER: &str = "ToServer";
const TO_CLIENT: &str = "ToClient";

/// Makes the schema of a description.
pub(super) fn json_schema(description: &Description) -> Value {
    let mut definitions = Definitions::new(&[TO_SERVER, TO_CLIENT]);
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    for topic in &description.topics {
        let mut envelope = |name: &str, schema: &Option<Value>| {
            let message =
                schema.as_ref().map_or(Value::Bool(true), |schema| definitions.add(schema, &name_for(name)));
            let mut properties = Map::new();
            properties.insert("topic".to_owned(), json!({"const": name}));
            properties.insert(description.wire.message_key.clone(), message);
            let required: Vec<_> = properties.keys().cloned().collect();
            json!({"type": "object", "properties": properties, "required": required})
        };
        let (there, back) = match topic.direction {
            Direction::TowardServer => (&mut to_server, &mut to_client),
            Direction::TowardClient => (&mut to_client, &mut to_server),
        };
        there.push(envelope(&topic.topic, &topic.schema));
        if let Some(reply) = &topic.reply {
            let reply = envelope(reply, &topic.reply_schema);
            if !back.contains(&reply) {
                back.push(reply);
            }
        }
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
