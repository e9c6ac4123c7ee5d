//! `types`: the types of what a server speaks, for programs in other languages.

use serde_json::{Map, Value, json};
use socket_ipc::Description;
use socket_ipc::description::Direction;

use crate::arguments::{Language, Types};
use crate::failure::Failure;
use crate::{description, output, typescript};

pub(crate) fn run(arguments: Types) -> Result<(), Failure> {
    let Types { server, lang, timeout, patience } = arguments;
    let described = description::read(&description::of(&server, &patience, timeout)?)?;
    output::print(&match lang {
        Language::Typescript => typescript::written(&described),
        Language::JsonSchema => schemas(&described),
    })
}

/// One document of all schemas. Each is a resource of its own, so that what it refers to is found in it.
fn schemas(described: &Description) -> String {
    let mut all = Map::new();
    for topic in &described.topics {
        let direction = match topic.direction {
            Direction::TowardServer => "to_server",
            Direction::TowardClient => "to_client",
        };
        add(&mut all, format!("{direction}/{}", topic.topic), topic.schema.as_ref());
        if topic.reply.is_some() {
            add(&mut all, format!("{direction}/{}/reply", topic.topic), topic.reply_schema.as_ref());
        }
    }
    let mut document = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": all});
    if let Some(protocol) = &described.protocol {
        document["title"] = protocol.as_str().into();
    }
    format!("{document:#}\n")
}

/// Adds a schema under a name; one that is not known allows everything.
fn add(all: &mut Map<String, Value>, name: String, schema: Option<&Value>) {
    let mut schema = match schema {
        Some(Value::Object(schema)) => schema.clone(),
        Some(Value::Bool(false)) => Map::from_iter([("not".to_owned(), json!({}))]),
        _ => Map::new(),
    };
    schema.insert("$id".to_owned(), encoded(&name).into());
    all.insert(name, Value::Object(schema));
}

/// A name as a part of a URI.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
