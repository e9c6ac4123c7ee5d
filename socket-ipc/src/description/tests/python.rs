//! The Python of a description: types of every kind, and what of the client depends on the topics. Tests of the workspace
//! check that a type checker accepts it, and that the client converses.

use std::collections::BTreeMap;

use super::shapes::*;
use super::*;

/// The Python declarations for a message to the server that has this schema.
fn declared(schema: Value) -> String {
    let file = described([("message", schema)]).python();
    let (_, types) = file.split_once("\nfrom __future__ import annotations\n").unwrap();
    let imports = ["import sys", "from typing ", "if sys.version", "elif TYPE_CHECKING", "    from typing"];
    let is_import = |line: &&str| line.is_empty() || imports.iter().any(|import| line.starts_with(import));
    types.lines().skip_while(is_import).collect::<Vec<_>>().join("\n")
}

fn described<const N: usize>(schemas: [(&str, Value); N]) -> Description {
    let topics = schemas.map(|(topic, schema)| TopicDescription {
        schema: Some(schema),
        ..TopicDescription::new(topic, Direction::TowardServer)
    });
    Description { topics: topics.into(), ..Description::new() }
}

#[test]
fn python_fields_of_every_kind_are_declared() {
    /// A struct. With `"""` in it.
    ///
    /// And a second paragraph.
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Fields {
        /// The number.
        an_integer: u64,
        fraction: f32,
        one_char: char,
        nothing: (),
        anything: Value,
        optional: Option<String>,
        optional_struct: Option<Point>,
        #[serde(default)]
        with_default: Vec<Point>,
        tuple: (u8, String),
        pair: [bool; 2],
        map: BTreeMap<String, Point>,
        #[deprecated]
        old: u8,
    }
    assert_eq!(
        declared(read::<Fields>()),
        r#"class Fields(TypedDict):
    """A struct. With `""\"` in it.

    And a second paragraph.
    """

    an_integer: int
    """The number."""
    fraction: float
    one_char: str
    nothing: None
    anything: Any
    optional: NotRequired[Optional[str]]
    optional_struct: NotRequired[Optional[Point]]
    with_default: NotRequired[list[Point]]
    tuple: list[Union[int, str]]
    pair: list[bool]
    map: dict[str, Point]
    old: int
    """Deprecated."""


class Point(TypedDict):
    x: int"#
    );
}

#[test]
fn python_enums_in_every_representation_are_declared() {
    /// Documented.
    #[derive(JsonSchema, Serialize, Deserialize)]
    enum Plain {
        /// The first.
        One,
        Two,
    }
    for (of, expected) in [
        (
            read::<Plain>(),
            "Plain = Literal[\"Two\", \"One\"]\n\"\"\"Documented.\n\n``\"One\"``: The first.\n\"\"\"",
        ),
        (
            read::<External>(),
            "class ExternalStruct(TypedDict):\n    Struct: ExternalStructFields\n\n\nclass ExternalNested(TypedDict):\n    \
             Nested: Point\n\n\nExternal = Union[Literal[\"Unit\"], ExternalNewtype, ExternalTuple, ExternalStruct, \
             ExternalNested]\n",
        ),
        (read::<External>(), "class ExternalTuple(TypedDict):\n    Tuple: list[Union[int, str]]\n"),
        (
            read::<Internal>(),
            "        \"is\": \"Literal[\\\"Nested\\\"]\",\n        \"x\": \"int\",\n    },\n)\n\n\nInternalOther = TypedDict(",
        ),
        (
            read::<Internal>(),
            "\nInternal = Union[InternalUnit, InternalStruct, InternalNested, InternalOther]",
        ),
        (
            read::<Adjacent>(),
            "        \"with\": \"int\",\n    },\n)\n\nAdjacent = Union[AdjacentUnit, AdjacentNewtype]",
        ),
        (
            read::<Untagged>(),
            "class UntaggedA(TypedDict):\n    a: int\n\n\nUntagged = Union[int, UntaggedA, list[\"Untagged\"], None]",
        ),
        (read::<Never>(), "Never = NoReturn"),
    ] {
        let declared = declared(of);
        assert!(declared.contains(expected), "{expected}\n\n{declared}");
    }
}

#[test]
fn python_flattened_fields_are_declared() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(tag = "is")]
    enum Kind {
        One,
        Two { a: u8 },
    }
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct FlatEnum {
        own: u8,
        #[serde(flatten)]
        kind: Kind,
    }
    // A class has no keys beyond its own.
    assert_eq!(declared(read::<Flat>()), "Flat = dict[str, Union[int, bool, None]]");
    let flat = declared(read::<FlatEnum>());
    for part in [
        "FlatEnumOne = TypedDict(\n    \"FlatEnumOne\",\n    {\n        \"own\": \"int\",\n        \"is\": \"Literal[\\\"One\\\"]\",\n",
        "        \"is\": \"Literal[\\\"Two\\\"]\",\n        \"a\": \"int\",\n",
        "\nFlatEnum = Union[FlatEnumOne, FlatEnumTwo]",
    ] {
        assert!(flat.contains(part), "{part}\n\n{flat}");
    }
}

#[test]
fn python_type_keeps_its_name_whatever_schemars_calls_others() {
    /// In euros.
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Double(f64);
    #[derive(JsonSchema, Serialize, Deserialize)]
    struct Price {
        amount: Double,
    }
    let double = "Double = float\n\"\"\"In euros.\"\"\"";
    assert_eq!(declared(read::<Double>()), double);
    let price = declared(read::<Price>());
    assert!(price.contains("    amount: Double\n") && price.contains(double), "{price}");
}

#[test]
fn python_map_by_number_has_no_name_of_its_own() {
    let reply = TopicDescription {
        reply: Some("all".to_owned()),
        reply_schema: Some(written::<BTreeMap<u32, Point>>()),
        ..TopicDescription::new("all", Direction::TowardServer)
    };
    let file = Description { topics: vec![reply], ..Description::new() }.python_client();
    assert!(file.contains(" -> dict[str, Point]:\n") && !file.contains("Map_"), "{file}");
}

#[test]
fn python_recursive_types_are_declared() {
    assert_eq!(
        declared(read::<Tree>()),
        "class Tree(TypedDict):\n    children: list[Tree]\n    other: NotRequired[Optional[Tree]]"
    );
    // Python can't express this type.
    assert_eq!(declared(read::<Chain>()), "Chain = Any");
    let later = json!({
        "title": "A", "$ref": "#/$defs/B", "$defs": {"B": {"type": "object", "properties": {"a": {"$ref": "#"}}}},
    });
    assert_eq!(declared(later), "A = Union[\"B\"]\n\n\nclass B(TypedDict):\n    a: NotRequired[A]");
}

#[test]
fn python_keys_that_are_no_names_are_declared_by_a_call() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Keys {
        /// The `class`.
        class: u8,
        #[serde(default)]
        with_dash: Option<String>,
        // In a class it would hide the type.
        #[serde(rename = "Point")]
        point: Point,
    }
    assert_eq!(
        declared(read::<Keys>()),
        "Keys = TypedDict(\n    \"Keys\",\n    {\n        # The `class`.\n        \"class\": \"int\",\n        \
         \"with-dash\": \"NotRequired[Optional[str]]\",\n        \"Point\": \"Point\",\n    },\n)\n\n\n\
         class Point(TypedDict):\n    x: int"
    );
}

#[test]
fn python_texts_of_a_peer_end_no_literal() {
    let hostile = "\"\"\"\nevil()\\";
    let description = Description {
        protocol: Some(hostile.to_owned()),
        ..described([(
            hostile,
            json!({
                "title": hostile, "description": hostile, "type": "object",
                "properties": {
                    hostile: {"const": hostile, "description": hostile},
                    "a": {"type": "null", "description": "a \u{202e}b\" \r"},
                },
            }),
        )])
    };
    let file = description.python_client();
    let evil: Vec<&str> = file.lines().filter(|line| line.contains("evil()")).map(str::trim_end).collect();
    assert_eq!(
        evil,
        [
            concat!(r"evil()\\`, as socket-ipc ", env!("CARGO_PKG_VERSION"), " describes it."),
            r"        # evil()\",
            r#"        "\"\"\"\nevil()\\": "NotRequired[Literal[\"\\\"\\\"\\\"\\nevil()\\\\\"]]","#,
            r"evil()\\",
            r#"    async def send(self, topic: Literal["\"\"\"\nevil()\\"], message: ____evil___) -> None:"#,
        ]
    );
    assert!(file.contains("        # a \\u202eb\"\n"), "{file}");
}

#[test]
fn python_schemas_that_multiply_are_printed_in_time() {
    let begin = std::time::Instant::now();
    // Each of 40 enums of 60 variants, flattened into one object, and that again within each variant.
    let variants: Vec<_> =
        (0..60).map(|at| json!({"properties": {format!("v{at}"): {"type": "null"}}})).collect();
    let part = json!({"oneOf": variants});
    let parts: Vec<_> = (0..40).map(|_| part.clone()).collect();
    assert_eq!(declared(json!({"title": "Many", "allOf": parts})).lines().last(), Some("Many = Any"));
    // Objects of three variants, each with the same field of three variants, and so on.
    let mut nested = json!({"type": "object", "properties": {"end": {"type": "null"}}});
    for _ in 0..20 {
        let variants = ["a", "b", "c"].map(|key| json!({"properties": {key: {"type": "null"}}}));
        nested = json!({"properties": {"in": nested}, "oneOf": variants});
    }
    nested["title"] = json!("Nested");
    let file = declared(nested);
    assert!(file.matches("TypedDict").count() < 50_000, "{}", file.len());
    let chain: serde_json::Map<String, Value> = (0..5_000)
        .map(|at| {
            (
                format!("L{at:05}"),
                json!({"anyOf": [{"$ref": format!("#/$defs/L{:05}", at + 1)}, {"type": "null"}]}),
            )
        })
        .chain([("L05000".to_owned(), json!({"type": "string"}))])
        .collect();
    let file = declared(json!({"title": "Chain", "$ref": "#/$defs/L00000", "$defs": chain}));
    assert!(file.contains("\nL00000 = Optional[\"L00001\"]\n"), "{}", file.len());
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
}

#[test]
fn python_methods_have_the_types_of_their_topics() {
    let request = |topic: &str, direction, reply: &str| TopicDescription {
        reply: Some(reply.to_owned()),
        ..TopicDescription::new(topic, direction)
    };
    let description = Description {
        protocol: Some("Jobs".to_owned()),
        topics: vec![
            request("add", Direction::TowardServer, "sum"),
            TopicDescription {
                schema: Some(json!({"title": "Submit", "description": "A job.", "type": "null"})),
                reply_schema: Some(written::<Point>()),
                error_schema: Some(json!({"enum": ["QueueFull"]})),
                ..request("submit", Direction::TowardServer, "submit")
            },
            request("are you \"there\"?", Direction::TowardClient, "yes"),
            TopicDescription {
                stream: true,
                item_schema: Some(written::<Point>()),
                ..TopicDescription::new("follow", Direction::TowardServer)
            },
            TopicDescription { stream: true, ..TopicDescription::new("log", Direction::TowardClient) },
            TopicDescription {
                schema: Some(read::<u8>()),
                ..TopicDescription::new("news", Direction::TowardClient)
            },
        ],
        ..Description::new()
    };
    let file = description.python_client();
    for part in [
        "\"\"\"A client for the server of `Jobs`, as socket-ipc ",
        "    @overload\n    async def request(\n        self, topic: Literal[\"add\"], message: Any, *, timeout: Optional[float] = None\n    ) -> Any: ...\n",
        "        self, topic: Literal[\"submit\"], message: None = None, *, timeout: Optional[float] = None\n    ) -> Point:\n        \"\"\"A job.\"\"\"\n",
        "    async def request(self, topic: str, message: Any = None, *, timeout: Optional[float] = None) -> Any:\n",
        "    ) -> Stream[Point]:\n",
        "    def on(self, topic: Literal[\"news\"], listener: Callable[[int], object]) -> Callable[[], None]:\n",
        "topic: Literal[\"are you \\\"there\\\"?\"], responder: Callable[[Any], Union[Any, Awaitable[Any]]]",
        "topic: Literal[\"log\"], responder: Callable[[Any], AsyncIterable[Any]]",
        "class SubmitFailed(RequestFailed):\n",
        "    topic = \"submit\"\n    error: SubmitError\n",
        "_REPLY_TOPICS: dict[str, str] = {\n    \"add\": \"sum\",\n}\n",
        "_STREAMS_OF_CLIENT: frozenset[str] = frozenset([\"log\"])\n",
        "DELIMITER = \"\\n\".encode()\n",
        "HAS_CONTROL_LINES = True\n",
    ] {
        assert!(file.contains(part), "{part}\n\n{file}");
    }
    assert!(!file.contains("async def send(self, topic"), "{file}");
    assert!(!file.contains("# ["), "{file}");
}

#[test]
fn python_names_of_the_client_are_not_taken_by_types() {
    let named = |name: &str| json!({"title": name, "type": "object", "properties": {"a": {"type": "null"}}});
    let file = described([("one", named("Client")), ("two", named("_Call")), ("three", named("None"))])
        .python_client();
    for class in ["class Client2(TypedDict)", "class _Call2(TypedDict)", "class None2(TypedDict)"] {
        assert!(file.contains(class), "{class}\n{file}");
    }
}
