use serde_json::json;
use socket_ipc::description::TopicDescription;

use super::*;

fn topic(topic: &str, schema: Value) -> TopicDescription {
    let mut described = TopicDescription::new(topic, Direction::TowardServer);
    described.schema = Some(schema);
    described
}

/// What is written for a protocol of these topics.
fn written(protocol: Option<&str>, topics: &[TopicDescription]) -> String {
    let mut described = Description::new();
    described.protocol = protocol.map(str::to_owned);
    described.topics = topics.to_vec();
    super::written(&described)
}

/// What is written for one schema of this title.
fn declared(schema: Value) -> String {
    let text = written(None, &[topic("t", schema)]);
    let declarations = text.split("\n/** What travels to the server").next().unwrap_or_default();
    declarations.split_once("\n\n").unwrap().1.trim_end().to_owned()
}

#[test]
fn every_kind_of_schema_is_its_type() {
    for (schema, expected) in [
        (json!({"type": "integer", "format": "int64"}), "number"),
        (json!({"type": ["string", "null"]}), "string | null"),
        (json!({"type": "array", "items": {"type": ["string", "null"]}}), "(string | null)[]"),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2, "maxItems": 2}),
            "[string, number]",
        ),
        (json!({"type": "array", "prefixItems": [{"type": "string"}]}), "[string, ...unknown[]]"),
        (json!({"enum": ["a", 1, null, "a"]}), "\"a\" | 1 | null"),
        (json!({"const": "a\"b"}), "\"a\\\"b\""),
        (json!({"type": "object"}), "{ [key: string]: unknown }"),
        (
            json!({"type": "object", "additionalProperties": {"type": "boolean"}}),
            "{ [key: string]: boolean }",
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b c": {}}, "required": ["a"]}),
            "{\n  a: string;\n  \"b c\"?: unknown;\n}",
        ),
        (
            json!({"properties": {"a": {}}, "oneOf": [{"type": "string"}, {"type": "null"}]}),
            "{\n  a?: unknown;\n} & (string | null)",
        ),
        (json!({"not": {}}), "unknown"),
        (json!({"anyOf": [{"type": "string"}, true]}), "unknown"),
        (json!({"type": "array", "items": false}), "never[]"),
        (json!({"$ref": "https://elsewhere.example/schema"}), "unknown"),
        (json!({"$ref": "#/$defs/not there"}), "unknown"),
    ] {
        let titled = match schema {
            Value::Object(mut parts) => {
                parts.insert("title".into(), "Hello".into());
                Value::Object(parts)
            }
            other => other,
        };
        assert_eq!(declared(titled), format!("export type Hello = {expected};"));
    }
}

#[test]
fn what_several_topics_use_is_declared_once_and_what_differs_apart() {
    let point = |of: &str| json!({"Point": {"type": of}});
    let uses = |of: &str| json!({"title": of, "type": "array", "items": {"$ref": "#/$defs/Point"}, "$defs": point(of)});
    let topics = [
        topic("one", uses("string")),
        topic("the same", uses("string")),
        topic("other", uses("number")),
        topic("alone", json!({"title": "Point", "type": "string"})),
    ];
    let text = written(Some("Geo*/\n"), &topics);
    assert!(text.starts_with("// The messages of Geo*/\\n. Made by"), "{text}");
    let declarations: Vec<_> = text.lines().filter(|line| line.starts_with("export type")).collect();
    assert_eq!(
        declarations,
        [
            "export type Number = Point2[];",
            "export type Point = string;",
            "export type Point2 = number;",
            "export type String = Point[];",
        ]
    );
    assert!(
        text.contains("  one: String;\n  \"the same\": String;\n  other: Number;\n  alone: Point;\n"),
        "{text}"
    );
}

#[test]
fn a_type_may_refer_to_itself() {
    let tree = json!({"title": "Tree", "type": "array", "items": {"$ref": "#"}});
    let in_another = json!({
        "title": "Forest",
        "type": "array",
        "items": {"$ref": "#/$defs/Tree"},
        "$defs": {"Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    });
    let text = written(None, &[topic("tree", tree), topic("forest", in_another)]);
    assert!(text.contains("export type Tree = Tree[];"), "{text}");
    assert!(text.contains("export type Forest = Tree[];"), "{text}");
    assert!(!text.contains("Tree2"), "{text}");
}

#[test]
fn types_may_refer_to_each_other_and_in_long_chains() {
    let pair = json!({
        "title": "Left",
        "type": "array",
        "items": {"$ref": "#/$defs/Right"},
        "$defs": {"Right": {"type": "array", "items": {"$ref": "#"}}},
    });
    let text = written(None, &[topic("pair", pair)]);
    assert!(text.contains("export type Left = Right[];"), "{text}");
    assert!(text.contains("export type Right = Left[];"), "{text}");

    let next = |number: u32| json!({"type": "array", "items": {"$ref": format!("#/$defs/T{}", number + 1)}});
    let chain: Map<String, Value> = (0..200).map(|number| (format!("T{number}"), next(number))).collect();
    let text = written(None, &[topic("chain", json!({"title": "T", "$ref": "#/$defs/T0", "$defs": chain}))]);
    assert!(text.contains("export type T = T0;"), "{text}");
    assert!(text.contains("export type T199 = unknown[];"), "{text}");
}

#[test]
fn names_and_comments_are_nothing_else() {
    let schema = json!({
        "title": "ToServer",
        "description": "ends */ here\nand\u{0} there",
        "type": "object",
        "properties": {"a: string; b": {"description": "x", "type": "string"}},
    });
    let text = declared(schema);
    assert_eq!(
        text,
        "/** ends *\\/ here\n * and  there */\nexport type ToServer2 = {\n  /** x */\n  \"a: string; b\"?: string;\n};"
    );
    assert_eq!(identifier("two words/1"), "TwoWords1");
    assert_eq!(identifier("5"), "Message5");
    assert_eq!(identifier("class"), "Class");
}
