//! The TypeScript of one type: fields, enums, recursion.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::shapes::*;
use super::*;

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
    float: number;
    text: string;
    oneChar: string;
    "with-dash": boolean;
    nothing: null;
    anything: unknown;
    optional?: string | null;
    optionalStruct?: Point | null;
    withDefault?: Point[];
    leftOut?: number | null;
    nested: Point;
    tuple: [number, string];
    pair: [boolean, boolean];
    listOfUnions: (number | null)[];
    set: number[];
    map: { [key: string]: Point };
    mapByNumber: { [key: string]: boolean };
    result: Result_of_uint8_or_string;
    /** @deprecated */
    old: number;
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
    assert_eq!(declared(read::<Wrapper>()), format!("export type Wrapper = Point;\n\n{point}"));
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
    | {{ is: \"Struct\"; a: number }}
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
    struct FlatValues {
        own: u8,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
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
        declared(read::<FlatValues>()),
        "export interface FlatValues {\n    own: number;\n    [key: string]: unknown;\n}"
    );
    assert_eq!(
        declared(read::<FlatEnum>()),
        r#"export type FlatEnum = { own: number } & ({ is: "One" } | { is: "Two"; a: number });"#
    );
    assert_eq!(declared(read::<Closed>()), "export interface Closed {\n    [key: string]: never;\n}");
}

#[test]
fn typescript_recursive_types_are_declared() {
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
        "export interface ToServer2 {\n    other: A___b__;\n}\n\nexport interface A___b__ {\n    a: number;\n}"
    );
    // A schema without a title is named after the topic.
    assert_eq!(declared(json!({"type": "string"})), "export type Message = string;");
    // A reference that leads nowhere is `unknown`.
    let dangling = json!({"type": "array", "items": {"$ref": "#/$defs/Missing"}});
    assert_eq!(declared(dangling), "export type Message = unknown[];");
}
