//! Serde's types, as schemars describes them, in TypeScript and in one JSON schema. Tests of the workspace check that
//! `tsc` accepts the TypeScript.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Description, Direction, TopicDescription};

/// The TypeScript declarations for a message to the server that has this schema.
fn declared(schema: Value) -> String {
    let mut topic = TopicDescription::new("message", Direction::TowardServer);
    topic.schema = Some(schema);
    let description = Description { topics: vec![topic], ..Description::new() };
    let file = description.typescript();
    let (types, _) = file.split_once("\n/** The messages to the server").unwrap();
    let (_, types) = types.split_once("*/\n").unwrap();
    types.trim().to_owned()
}

fn read<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

fn written<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

#[derive(JsonSchema, Serialize, Deserialize)]
struct Point {
    x: i32,
}

#[test]
fn typescript_fields_of_every_kind_are_declared() {
    /// A struct. With `*/` in it.
    ///
    /// And a second paragraph.
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields<'m> {
        /// The number.
        an_integer: u64,
        float: f32,
        #[serde(borrow)]
        text: Cow<'m, str>,
        one_char: char,
        #[serde(rename = "with-dash")]
        flag: bool,
        nothing: (),
        anything: Value,
        optional: Option<String>,
        optional_struct: Option<Point>,
        #[serde(default)]
        with_default: Vec<Point>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_out: Option<u8>,
        nested: Box<Point>,
        tuple: (u8, String),
        pair: [bool; 2],
        list_of_unions: Vec<Option<u8>>,
        set: BTreeSet<i8>,
        map: BTreeMap<String, Point>,
        map_by_number: HashMap<u32, bool>,
        result: Result<u8, String>,
        #[deprecated]
        old: u8,
    }
    assert_eq!(
        declared(read::<Fields<'static>>()),
        r#"/**
 * A struct. With `*\/` in it.
 *
 * And a second paragraph.
 */
export interface Fields {
    /** The number. */
    anInteger: number;
    anything: unknown;
    float: number;
    leftOut?: number | null;
    listOfUnions: (number | null)[];
    map: { [key: string]: Point };
    mapByNumber: { [key: string]: boolean };
    nested: Point;
    nothing: null;
    /** @deprecated */
    old: number;
    oneChar: string;
    optional?: string | null;
    optionalStruct?: Point | null;
    pair: [boolean, boolean];
    result: Result_of_uint8_or_string;
    set: number[];
    text: string;
    tuple: [number, string];
    "with-dash": boolean;
    withDefault?: Point[];
}

export interface Point {
    x: number;
}

export type Result_of_uint8_or_string =
    | { Ok: number }
    | { Err: string };"#
    );
    // A written message has all fields except those that serde may skip.
    let written = declared(written::<Fields<'static>>());
    for field in ["optional: string | null;", "withDefault: Point[];", "leftOut?: number | null;"] {
        assert!(written.contains(field), "{field}: {written}");
    }
}

#[test]
fn typescript_structs_without_field_names_are_declared() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Unit;
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Empty {}
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Newtype(u64);
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Wrapper(Point);
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Transparent {
        point: Point,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Tuple(u64, Option<String>);
    let point = "export interface Point {\n    x: number;\n}";
    assert_eq!(declared(read::<Unit>()), "export type Unit = null;");
    assert_eq!(declared(read::<Empty>()), "export interface Empty {\n    [key: string]: unknown;\n}");
    assert_eq!(declared(read::<Newtype>()), "export type Newtype = number;");
    assert_eq!(declared(read::<Wrapper>()), format!("{point}\n\nexport type Wrapper = Point;"));
    assert_eq!(declared(read::<Transparent>()), point);
    assert_eq!(declared(read::<Tuple>()), "export type Tuple = [number, string | null];");
}

#[test]
fn typescript_enums_in_every_representation_are_declared() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Plain {
        FirstOne,
        Second,
    }
    /// Documented.
    #[derive(JsonSchema, Serialize, Deserialize)]
    enum Documented {
        /// The first.
        One,
        Two,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    enum External {
        Unit,
        Newtype(u8),
        Tuple(u8, String),
        Struct { a: u8, b: Option<u8> },
        Nested(Point),
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(tag = "is")]
    enum Internal {
        Unit,
        Struct {
            a: u8,
        },
        Nested(Point),
        #[serde(other)]
        Other,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(tag = "is", content = "with")]
    enum Adjacent {
        Unit,
        Newtype(u8),
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Struct { a: u8 },
        Unit,
        List(Vec<Untagged>),
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    enum Never {}
    let point = "\n\nexport interface Point {\n    x: number;\n}";
    assert_eq!(declared(read::<Plain>()), r#"export type Plain = "first-one" | "second";"#);
    assert_eq!(
        declared(read::<Documented>()),
        "/** Documented. */\nexport type Documented =\n    | \"Two\"\n    /** The first. */\n    | \"One\";"
    );
    assert_eq!(
        declared(read::<External>()),
        format!(
            "export type External =
    | \"Unit\"
    | {{ Newtype: number }}
    | {{ Tuple: [number, string] }}
    | {{ Struct: {{ a: number; b?: number | null }} }}
    | {{ Nested: Point }};{point}"
        )
    );
    assert_eq!(
        declared(read::<Internal>()),
        format!(
            "export type Internal =
    | {{ is: \"Unit\" }}
    | {{ a: number; is: \"Struct\" }}
    | {{ is: \"Nested\" }} & Point
    | {{ is: \"Other\" }};{point}"
        )
    );
    assert_eq!(
        declared(read::<Adjacent>()),
        "export type Adjacent =\n    | { is: \"Unit\" }\n    | { is: \"Newtype\"; with: number };"
    );
    assert_eq!(
        declared(read::<Untagged>()),
        "export type Untagged = number | { a: number } | null | Untagged[];"
    );
    assert_eq!(declared(read::<Never>()), "export type Never = never;");
}

#[test]
fn typescript_flattened_fields_are_declared() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(tag = "is")]
    enum EnvelopeKind {
        One,
        Two { a: u8 },
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Flat {
        own: Option<u8>,
        #[serde(flatten)]
        point: Point,
        #[serde(flatten)]
        more: BTreeMap<String, bool>,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct FlatEnum {
        own: u8,
        #[serde(flatten)]
        kind: EnvelopeKind,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Closed {}
    assert_eq!(
        declared(read::<Flat>()),
        "export interface Flat {
    own?: number | null;
    x: number;
    [key: string]: boolean | (number | null) | undefined | number;
}"
    );
    assert_eq!(
        declared(read::<FlatEnum>()),
        r#"export type FlatEnum = { own: number } & ({ is: "One" } | { a: number; is: "Two" });"#
    );
    assert_eq!(declared(read::<Closed>()), "export interface Closed {\n    [key: string]: never;\n}");
}

#[test]
fn typescript_recursive_types_are_declared() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Tree {
        children: Vec<Tree>,
        other: Option<Box<Tree>>,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Chain(Option<Box<Chain>>);
    assert_eq!(
        declared(read::<Tree>()),
        "export interface Tree {\n    children: Tree[];\n    other?: Tree | null;\n}"
    );
    // TypeScript can't express this type.
    assert_eq!(declared(read::<Chain>()), "export type Chain = unknown;");
    let round_about = json!({
        "title": "A", "$ref": "#/$defs/B",
        "$defs": {"B": {"anyOf": [{"$ref": "#/$defs/C"}, {"type": "null"}]}, "C": {"anyOf": [{"$ref": "#"}, {"type": "string"}]}},
    });
    assert_eq!(
        declared(round_about),
        "export type A = unknown;\n\nexport type B = unknown;\n\nexport type C = unknown;"
    );
}

#[test]
fn typescript_type_names_become_identifiers() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "a / b~ü")]
    struct Other {
        a: u8,
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "ToServer")]
    struct Reserved {
        other: Other,
    }
    assert_eq!(
        declared(read::<Reserved>()),
        "export interface A___b__ {\n    a: number;\n}\n\nexport interface ToServer2 {\n    other: A___b__;\n}"
    );
    // A schema without a title is named after the topic.
    assert_eq!(declared(json!({"type": "string"})), "export type Message = string;");
    // A reference that leads nowhere is `unknown`.
    let dangling = json!({"type": "array", "items": {"$ref": "#/$defs/Missing"}});
    assert_eq!(declared(dangling), "export type Message = unknown[];");
}

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
