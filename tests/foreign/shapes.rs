//! Descriptions of types of every shape that serde has, and of those that no derive writes.

#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::Description;
use socket_ipc::description::{Direction, TopicDescription};

/// Types of every shape that serde has.
pub fn every_shape() -> Description {
    let mut description = Description::new();
    macro_rules! shapes {
        ($($type:ty),* $(,)?) => { $(shape::<$type>(&mut description.topics);)* };
    }
    shapes![
        Unit, Newtype, Tuple, Empty, Closed, Named<u8>, Named<External>, Tree, Chain, Plain, External,
        Internal, Adjacent, Untagged, Never, Flat, FlatEnums, Class, Reserved, Array, (), u8, String,
        Option<u8>, Vec<Option<Plain>>, BTreeMap<String, Value>, (u8, String), Value,
    ];
    description
}

/// Schemas and names that no derive writes, but a peer may.
pub fn hostile() -> Description {
    let hostile = [
        json!(true),
        json!(false),
        json!(null),
        json!(7),
        json!({}),
        json!({"$ref": "#"}),
        json!({"$ref": 7}),
        json!({"$ref": "#/$defs/Missing"}),
        json!({"$ref": "https://example.com/schema.json#/$defs/A"}),
        json!({"title": "*/ }; evil(", "description": "*/ evil(); /*\r\n\u{2028}*/", "type": "object"}),
        json!({"title": "", "type": ["object", "array", "null", "integer", "nonsense", 7]}),
        json!({"type": "nonsense"}),
        json!({"type": []}),
        json!({"enum": []}),
        json!({"anyOf": []}),
        json!({"allOf": []}),
        json!({"const": {"a b": [1, null, "x\"\u{2028}", {"c": []}], "d": {}}}),
        json!({"enum": [1e300, -0.0, -7, u64::MAX]}),
        json!({"items": false}),
        json!({"prefixItems": [], "items": {"type": ["string", "null"]}}),
        json!({"prefixItems": [{"anyOf": [{"type": "null"}, {"type": "string"}]}, {}], "minItems": 1}),
        json!({"type": "array", "minItems": 1_000_000_000, "maxItems": 1_000_000_000}),
        json!({"properties": {"$ref": {"$ref": "#"}, "__proto__": {}, "": false}, "required": ["$ref", 7]}),
        json!({"patternProperties": {"x": {"type": "string"}}, "additionalProperties": {"type": "null"}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}, "oneOf": [{"type": "object"}]}),
        json!({"title": "Self", "allOf": [{"$ref": "#"}, {"$ref": "#/$defs/Self"}], "$defs": {"Self": {"oneOf": [{"$ref": "#"}]}}}),
        json!({"title": "a", "$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"$ref": "#/definitions/%ZZ%C3"}}, "definitions": {"%ZZ%C3": {"type": "null"}}}),
        json!({
            "title": "\"\"\"", "description": "\"\"\"\nevil()\n\\", "type": "object",
            "properties": {
                "class": {"description": "\"\"\" \\\r\nevil()"}, "int": {"type": "integer"}, "__a": {},
                "\"\\\n": {"const": "\"\\\n\u{202e}\""}, "b": {"type": "integer"},
            },
        }),
        json!({
            "title": "None", "description": "\\", "type": "object",
            "properties": {"a": {"type": "integer", "description": "\"\"\"evil()\"\n\\\"\"\""}},
        }),
        json!({"title": "Client", "oneOf": [{"const": "a", "description": "\"\"\" evil()"}, {"const": "b\"\"\""}]}),
        json!({"not": {}}),
        json!({"not": {"type": "string"}}),
    ];
    let mut others = Description::new();
    others.version = "*/ evil(".to_owned();
    others.protocol = Some("\n*/ evil(".to_owned());
    for (topic, schema) in ["", "\"];", "${evil()}", "__proto__", "42", "\u{2028}\n*/", "\"\"\"\\", "error"]
        .iter()
        .cycle()
        .zip(&hostile)
    {
        let mut topic = TopicDescription::new(*topic, Direction::TowardServer);
        (topic.schema, topic.reply) = (Some(schema.clone()), Some("`\\".to_owned()));
        (topic.stream, topic.item_schema) = (others.topics.len() % 2 == 1, Some(schema.clone()));
        others.topics.push(topic);
    }
    others
}

/// Describes a type in both directions: as it is decoded, and as it is encoded.
fn shape<T: JsonSchema>(topics: &mut Vec<TopicDescription>) {
    use schemars::generate::SchemaSettings;

    let name = format!("{} {}", topics.len(), std::any::type_name::<T>());
    let [settings, others] = [(); 2].map(|()| SchemaSettings::draft2020_12());
    for (direction, settings) in [
        (Direction::TowardServer, settings.for_deserialize()),
        (Direction::TowardClient, others.for_serialize()),
    ] {
        let mut topic = TopicDescription::new(&name, direction);
        topic.schema = Some(settings.into_generator().into_root_schema_for::<T>().to_value());
        topic.reply = Some("reply".to_owned());
        topic.reply_schema = topic.schema.clone();
        topic.error_schema = topic.schema.clone();
        let mut stream = topic.clone();
        stream.topic.push_str(" as items");
        (stream.reply, stream.stream, stream.item_schema) = (None, true, topic.schema.clone());
        topics.extend([topic, stream]);
    }
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Unit;
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Newtype(u64);
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Tuple(u64, #[serde(default)] Option<String>);
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Empty {}
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    a: u8,
}
/// Comments may hold `*/ anything(`.
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Named<T> {
    /// The "field" with a \ and ${a}.
    some_field: T,
    optional: Option<Vec<Option<T>>>,
    #[serde(default)]
    with_default: Vec<(u8, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Box<Tree>>,
    array: [f64; 3],
    nothing: [u8; 0],
    map: BTreeMap<String, Newtype>,
    by_number: HashMap<i32, Plain>,
    by_plain: BTreeMap<Plain, bool>,
    unit: (),
    anything: Value,
    character: char,
    result: Result<Unit, Adjacent>,
    duration: std::time::Duration,
    #[serde(rename = "constructor")]
    constructor: bool,
    #[serde(rename = "ü \"quoted\" \u{2028} \u{0}")]
    quoted: bool,
    #[deprecated]
    old: bool,
}
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Tree {
    children: Vec<Tree>,
    other: Option<Box<Tree>>,
}
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Chain(Option<Box<Chain>>);
#[derive(JsonSchema, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Plain {
    FirstOne,
    /// The second.
    Second,
}
#[derive(JsonSchema, Serialize, Deserialize)]
pub enum External {
    Unit,
    Newtype(u8),
    Tuple(u8, String),
    Struct { a: u8, b: Option<u8> },
    Nested(Tree),
}
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(tag = "is")]
pub enum Internal {
    Unit,
    Struct {
        a: u8,
    },
    Nested(Tree),
    #[serde(other)]
    Other,
}
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(tag = "is", content = "with")]
pub enum Adjacent {
    Unit,
    Newtype(u8),
    Struct { a: u8 },
}
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Untagged {
    Number(u8),
    Struct { a: u8 },
    Unit,
    List(Vec<Untagged>),
}
#[derive(JsonSchema, Serialize, Deserialize)]
pub enum Never {}
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Flat {
    own: Option<u8>,
    #[serde(flatten)]
    closed: Tree,
    #[serde(flatten)]
    more: BTreeMap<String, u32>,
}
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct FlatEnums {
    own: u8,
    #[serde(flatten)]
    internal: Internal,
    #[serde(flatten)]
    adjacent: Adjacent,
    #[serde(flatten)]
    more: BTreeMap<String, bool>,
}
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "class")]
pub struct Class {
    class: Option<Box<Class>>,
}
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ToServer")]
pub struct Reserved(Class);
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Array")]
pub struct Array(Vec<Vec<Option<u8>>>);
