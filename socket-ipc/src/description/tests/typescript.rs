//! The TypeScript of a whole description: types that several topics share, and the lists of topics.

use std::collections::BTreeMap;

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
    assert!(file.contains("    one: Same;\n    two: Same2;\n"), "{file}");

    // The root of one schema may be a part of another.
    let point = json!({"title": "Point", "type": "object", "properties": {"x": {"type": "integer"}}});
    let file = described([holder("One", "integer"), point]).typescript();
    assert_eq!(file.matches("export interface Point").count(), 1, "{file}");
    assert!(file.contains("    two: Point;\n"), "{file}");
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
        wire: Framing::of(Wire::NODE_0_4),
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
    add: unknown;
    submit: unknown;
    yes: unknown;
    follow: unknown;
}

/** The messages from the server, by topic. */
export interface ToClient {
    sum: unknown;
    "are you \"there\"?": unknown;
    "who are you": unknown;
    log: unknown;
    error: ErrorReply;
}

/** The reply to each request, by the topic of the request. */
export interface Replies {
    add: unknown;
    submit: Point;
    "are you \"there\"?": unknown;
    "who are you": unknown;
}

/** The items of each stream, by the topic of its request. */
export interface Streams {
    follow: Point;
    log: unknown;
}

/** The `data` of the error replies to each request, by the topic of the request. */
export interface Errors {
    submit: SubmitError;
    follow: FollowError;
}

/** The topic of the reply to each request that may be sent without an `id`. */
export interface ReplyTopics {
    add: "sum";
    "are you \"there\"?": "yes";
}
"#
    );
}

#[test]
fn typescript_for_json_lines_has_nothing_for_the_node_library() {
    let request = TopicDescription {
        reply: Some("sum".to_owned()),
        ..TopicDescription::new("add", Direction::TowardServer)
    };
    let file = Description { topics: vec![request], ..Description::new() }.typescript();
    assert!(file.contains("export interface ToClient {}\n"), "{file}");
    for word in ["ErrorReply", "ReplyTopics", "NodeClient", "typed"] {
        assert!(!file.contains(word), "{word}: {file}");
    }
}

#[test]
fn typescript_type_that_travels_both_ways_is_declared_once() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Item {
        name: String,
        note: Option<String>,
        #[serde(default)]
        tags: Vec<String>,
    }
    let add = TopicDescription {
        schema: Some(read::<Item>()),
        reply: Some("add".to_owned()),
        reply_schema: Some(written::<Vec<Item>>()),
        ..TopicDescription::new("add", Direction::TowardServer)
    };
    let removed = TopicDescription {
        schema: Some(written::<Item>()),
        ..TopicDescription::new("removed", Direction::TowardClient)
    };
    for topics in [vec![add.clone(), removed.clone()], vec![removed, add]] {
        let file = Description { topics, ..Description::new() }.typescript();
        // A field that may be left out where it is sent stays one that may.
        let item = "export interface Item {\n    name: string;\n    note?: string | null;\n    tags?: string[];\n}\n";
        assert!(file.contains(item), "{file}");
        assert!(!file.contains("Item2"), "{file}");
        assert!(file.contains("    removed: Item;\n"), "{file}");
    }
}

#[test]
fn typescript_map_by_number_has_no_name_of_its_own() {
    let reply = TopicDescription {
        reply: Some("all".to_owned()),
        reply_schema: Some(written::<BTreeMap<u32, Point>>()),
        ..TopicDescription::new("all", Direction::TowardServer)
    };
    let file = Description { topics: vec![reply], ..Description::new() }.typescript();
    assert!(file.contains("    all: { [key: string]: Point };\n") && !file.contains("Map_"), "{file}");
}

#[test]
fn typescript_instantiations_of_a_generic_keep_their_names() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "Page")]
    struct Page<T> {
        items: Vec<T>,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Book {
        texts: Page<String>,
        numbers: Page<u8>,
    }
    // The page of numbers is the first here, and the second of its name in the schema of the book.
    let file = described([read::<Page<u8>>(), read::<Book>()]).typescript();
    for part in [
        "export interface Page {\n    items: number[];\n}\n",
        "export interface Book {\n    texts: Page2;\n    numbers: Page;\n}\n",
        "export interface Page2 {\n    items: string[];\n}\n",
        "    one: Page;\n",
    ] {
        assert!(file.contains(part), "{part}: {file}");
    }
    assert!(!file.contains("Page22") && !file.contains("Page3"), "{file}");
}

#[test]
fn typescript_types_are_declared_in_the_order_of_their_topics() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Zebra {
        stripes: Vec<Stripe>,
        ant: Ant,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Stripe {
        width: u8,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Ant {
        legs: u8,
    }
    let file = described([read::<Zebra>(), read::<Ant>()]).typescript();
    let names: Vec<_> =
        file.match_indices("export interface ").map(|(at, _)| &file[at + 17..at + 20]).collect();
    assert_eq!(names[..3], ["Zeb", "Str", "Ant"], "{file}");
}

#[test]
fn typescript_client_has_the_wire_and_the_integers() {
    let topic = TopicDescription {
        schema: Some(json!({"type": "integer"})),
        ..TopicDescription::new("number", Direction::TowardServer)
    };
    let mut description = Description { topics: vec![topic], ..Description::new() };
    let file = description.typescript_client(Integers::Number);
    for part in [
        "export type Number = number;\n",
        "    delimiter: \"\\n\",\n",
        "    hasControlLines: true as boolean,\n",
        "    bigint: false as boolean,\n",
        "import * as net from \"node:net\";\n",
        "export class Client {\n",
    ] {
        assert!(file.contains(part), "{part}: {file}");
    }
    assert!(!description.typescript().contains("class Client"));

    description.wire = Framing::of(Wire::NODE_0_1);
    let file = description.typescript_client(Integers::Bigint);
    for part in [
        "export type Number = bigint;\n",
        "    delimiter: \"%<EOM>%\\n\",\n",
        "    messageKey: \"data\",\n",
        "    hasControlLines: false as boolean,\n",
        "    bigint: true as boolean,\n",
        "export function typed(",
    ] {
        assert!(file.contains(part), "{part}: {file}");
    }
}
