//! A description as one JSON schema.

use super::*;

#[test]
fn json_schema_has_envelopes_of_both_directions() {
    let description = Description {
        protocol: Some("Chat".to_owned()),
        topics: vec![
            TopicDescription {
                reply: Some("point".to_owned()),
                schema: Some(json!({"title": "ToServer", "type": "null"})),
                reply_schema: Some(written::<Point>()),
                ..TopicDescription::new("where", Direction::TowardServer)
            },
            TopicDescription {
                reply: Some("submit".to_owned()),
                error_schema: Some(json!({"enum": ["QueueFull"]})),
                ..TopicDescription::new("submit", Direction::TowardServer)
            },
        ],
        ..Description::new()
    };
    let reference = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required});
    let message = |topic: &str, message| {
        object(json!({"topic": {"const": topic}, "message": message}), &["message", "topic"])
    };
    let reply = |topic: &str, message, re: &[&str]| {
        let properties = json!({"topic": {"const": topic}, "message": message, "re": {"type": re}});
        object(properties, &["message", "re", "topic"])
    };
    let error = object(
        json!({"code": {"type": "string"}, "text": {"type": "string"}, "data": {"anyOf": [reference("SubmitError")]}}),
        &["code", "text"],
    );
    let error = object(
        json!({
            "topic": {"const": "error"}, "message": error, "error": {"const": true},
            "re": {"type": ["integer", "string", "null"]},
        }),
        &["error", "message", "re", "topic"],
    );
    assert_eq!(
        description.json_schema(),
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Chat",
            "anyOf": [{"$ref": "#/$defs/ToServer"}, {"$ref": "#/$defs/ToClient"}],
            "$defs": {
                "ToServer": {"anyOf": [message("where", reference("ToServer2")), message("submit", json!(true))]},
                "ToServer2": {"type": "null"},
                "ToClient": {"anyOf": [
                    reply("point", reference("Point"), &["integer", "string", "null"]),
                    reply("submit", json!(true), &["integer", "string"]),
                    error,
                ]},
                "Point": {
                    "type": "object",
                    "properties": {"x": {"type": "integer", "format": "int32"}},
                    "required": ["x"],
                },
                "SubmitError": {"enum": ["QueueFull"]},
            },
        })
    );
    assert_eq!(Description::new().json_schema()["$defs"], json!({"ToServer": false, "ToClient": false}));
}

#[test]
fn json_schema_of_stream_has_its_lines() {
    let point = json!({"title": "Point", "type": "string"});
    let mut description = Description::new();
    description.wire.message_key = "data".to_owned();
    description.topics.push(TopicDescription {
        stream: true,
        item_schema: Some(point),
        error_schema: Some(json!({"title": "FollowError", "type": "null"})),
        ..TopicDescription::new("follow", Direction::TowardServer)
    });
    let schema = description.json_schema();
    let line = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required});
    let (topic, number) = (json!({"const": "follow"}), json!({"type": ["integer", "string"]}));
    assert_eq!(
        schema["$defs"]["ToServer"]["anyOf"],
        json!([line(
            json!({
                "topic": topic, "data": true, "window": {"type": ["integer", "null"], "minimum": 0}, "id": number,
            }),
            &["data", "id", "topic", "window"],
        )])
    );
    let lines = schema["$defs"]["ToClient"]["anyOf"].as_array().unwrap();
    assert_eq!(
        lines[..3],
        [
            line(
                json!({"topic": topic, "started": {"const": true}, "re": number}),
                &["re", "started", "topic"]
            ),
            line(
                json!({"topic": topic, "data": {"$ref": "#/$defs/Point"}, "more": {"const": true}, "re": number}),
                &["data", "more", "re", "topic"],
            ),
            line(json!({"topic": topic, "data": {"type": "null"}, "re": number}), &["data", "re", "topic"]),
        ]
    );
    assert_eq!(lines.len(), 4);
    let data = &lines[3]["properties"]["data"]["properties"]["data"];
    assert_eq!(*data, json!({"anyOf": [{"$ref": "#/$defs/FollowError"}]}));
}
