//! The TypeScript of a whole description: types that several topics share, and the lists of topics.

use super::*;

/// Two schemas, each with types of its own.
fn described(schemas: [Value; 2]) -> Description {
    let mut description = Description::new();
    for (schema, topic) in schemas.into_iter().zip(["one", "two"]) {
        let topic = TopicDescription::new(topic, Direction::TowardServer);
        description.topics.push(TopicDescription { schema: Some(schema), ..topic });
    }
    description
}

#[test]
fn typescript_equal_types_are_declared_once_different_ones_are_numbered() {
    let holder = |title: &str, x: &str| {
        json!({
            "title": title, "type": "object", "properties": {"point": {"$ref": "#/$defs/Point"}},
            "$defs": {"Point": {"type": "object", "properties": {"x": {"type": x}}}},
        })
    };
    let file = described([holder("One", "integer"), holder("Two", "integer")]).typescript();
    assert_eq!(file.matches("export interface Point").count(), 1, "{file}");

    // Two types are equal only if their parts are equal.
    let file = described([holder("Same", "integer"), holder("Same", "string")]).typescript();
    for part in [
        "Point {\n    x?: number",
        "Point2 {\n    x?: string",
        "Same {\n    point?: Point;",
        "Same2 {\n    point?: Point2;",
    ] {
        assert!(file.contains(&format!("export interface {part}")), "{part}: {file}");
    }
    assert!(file.contains("    \"one\": Same;\n    \"two\": Same2;\n"), "{file}");

    // The root of one schema may be a part of another.
    let point = json!({"title": "Point", "type": "object", "properties": {"x": {"type": "integer"}}});
    let file = described([holder("One", "integer"), point]).typescript();
    assert_eq!(file.matches("export interface Point").count(), 1, "{file}");
    assert!(file.contains("    \"two\": Point;\n"), "{file}");
}

#[test]
fn typescript_chain_of_5000_types_is_declared_in_time() {
    let chain = |end: &str| {
        let mut types: serde_json::Map<String, Value> = (0..5_000)
            .map(|link| {
                (
                    format!("L{link:05}"),
                    json!({"anyOf": [{"$ref": format!("#/$defs/L{:05}", link + 1)}, {"type": "null"}]}),
                )
            })
            .collect();
        types.insert("L05000".to_owned(), json!({"type": end}));
        json!({"title": "Chain", "$ref": "#/$defs/L00000", "$defs": types})
    };
    let file = described([chain("string"), chain("string")]).typescript();
    assert_eq!(file.matches("export type ").count(), 5_002);
    assert!(file.contains("export type L00000 = L00001 | null;\n"));
    // Chains that differ in the last link differ in every link.
    let file = described([chain("string"), chain("integer")]).typescript();
    assert_eq!(file.matches("export type ").count(), 2 * 5_002);
    assert!(file.contains("export type L000002 = L000012 | null;\n"));
}

#[test]
fn typescript_topics_replies_and_errors_are_listed() {
    let request = |topic: &str, direction, reply: &str| TopicDescription {
        reply: Some(reply.to_owned()),
        ..TopicDescription::new(topic, direction)
    };
    let description = Description {
        protocol: Some("Chat */ evil()\n".to_owned()),
        topics: vec![
            request("add", Direction::TowardServer, "sum"),
            TopicDescription {
                reply_schema: Some(written::<Point>()),
                error_schema: Some(json!({"enum": ["QueueFull"]})),
                ..request("submit", Direction::TowardServer, "submit")
            },
            request("are you \"there\"?", Direction::TowardClient, "yes"),
            request("who are you", Direction::TowardClient, "who are you"),
            TopicDescription {
                stream: true,
                item_schema: Some(written::<Point>()),
                error_schema: Some(json!({"enum": ["NoSuchJob"]})),
                ..TopicDescription::new("follow", Direction::TowardServer)
            },
            TopicDescription { stream: true, ..TopicDescription::new("log", Direction::TowardClient) },
            TopicDescription {
                schema: Some(read::<u8>()),
                ..TopicDescription::new("sum", Direction::TowardClient)
            },
        ],
        ..Description::new()
    };
    let file = description.typescript();
    assert!(file.starts_with("/**\n * The topics of `Chat *\\/ evil()\n * `, as socket-ipc "), "{file}");
    assert!(file.contains("export type SubmitError = \"QueueFull\";\n"), "{file}");
    assert!(file.contains("export type FollowError = \"NoSuchJob\";\n"), "{file}");
    let maps =
        file.split_once("\n/** The messages to the").unwrap().1.split_once("\n/** The part of").unwrap().0;
    assert_eq!(
        maps,
        r#" server, by topic. */
export interface ToServer {
    "add": unknown;
    "follow": unknown;
    "submit": unknown;
    "yes": unknown;
}

/** The messages from the server, by topic. */
export interface ToClient {
    "are you \"there\"?": unknown;
    "error": ErrorReply;
    "log": unknown;
    "sum": unknown;
    "who are you": unknown;
}

/** The reply to each request, by the topic of the request. */
export interface Replies {
    "add": unknown;
    "are you \"there\"?": unknown;
    "submit": Point;
    "who are you": unknown;
}

/** The items of each stream, by the topic of its request. */
export interface Streams {
    "follow": Point;
    "log": unknown;
}

/** The `data` of the error replies to each request, by the topic of the request. */
export interface Errors {
    "follow": FollowError;
    "submit": SubmitError;
}

/** The topic of the reply to each request that may be sent without an `id`. */
export interface ReplyTopics {
    "add": "sum";
    "are you \"there\"?": "yes";
}
"#
    );
}

#[test]
fn typescript_without_reply_topic_has_no_error_message() {
    let request = TopicDescription {
        reply: Some("add".to_owned()),
        ..TopicDescription::new("add", Direction::TowardServer)
    };
    let file = Description { topics: vec![request], ..Description::new() }.typescript();
    assert!(file.contains("export interface ToClient {\n}\n"), "{file}");
    assert!(!file.contains("ErrorReply"), "{file}");
}
