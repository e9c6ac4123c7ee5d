//! Python from JSON schemas, and a client. No I/O.
//!
//! It covers the schemas of serde's types in draft 2020-12. Keywords that narrow a type further than Python can are left
//! out.

mod methods;
mod objects;
mod printer;
mod text;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use self::methods::Methods;
use self::printer::{Printer, is_inlined};
use self::text::{docstring, quoted};
use super::definitions::{Definitions, name_for, type_name};
use super::typescript::cycles::cycles;
use super::{Description, Direction, TopicDescription};

/// The parts of the client. Together they are the file without what a description adds to it.
const HEAD: &str = include_str!("client/head.py");
const CLIENT: [&str; 6] = [
    include_str!("client/errors.py"),
    include_str!("client/wire.py"),
    include_str!("client/stream.py"),
    include_str!("client/connection.py"),
    include_str!("client/responder.py"),
    include_str!("client/client.py"),
];

/// The names that no type gets: those of the client, and of what it uses.
static RESERVED: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names: BTreeSet<&str> = ["False", "None", "True"].into();
    for part in [HEAD].into_iter().chain(CLIENT) {
        let code = part.split("\"\"\"").step_by(2).flat_map(str::lines);
        let words = code.flat_map(|line| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .split(|char: char| !char.is_alphanumeric() && char != '_')
        });
        names.extend(
            words.filter(|word| word.starts_with(|first: char| first.is_uppercase() || first == '_')),
        );
    }
    names.into_iter().collect()
});

/// Writes the types, and the client if it is wanted.
pub(super) fn python(description: &Description, with_client: bool) -> String {
    let mut definitions = Definitions::merging(&RESERVED);
    let topics = described(description);
    let roots: Vec<Roots> = topics.iter().map(|topic| Roots::add(topic, &mut definitions)).collect();
    let in_order = definitions.types();
    let types: BTreeMap<String, Value> =
        in_order.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let inlined = types.iter().filter(|(_, schema)| is_inlined(schema) && !refers_to_one(schema, &types));
    let taken = RESERVED.iter().copied().chain(types.keys().map(String::as_str)).map(str::to_owned);
    let mut printer = Printer {
        types: &types,
        cycles: cycles(&in_order),
        inlined: inlined.map(|(name, _)| name.clone()).collect(),
        taken: taken.collect(),
        declared: BTreeSet::new(),
        numbers: BTreeMap::new(),
        file: String::new(),
        budget: 10_000 + 16 * types.values().map(size).sum::<usize>(),
    };
    for (name, schema) in in_order.iter().filter_map(|(name, _)| types.get_key_value(*name)) {
        if !printer.inlined.contains(name) {
            printer.declare(name, schema);
        }
    }
    let mut methods = Methods::default();
    for (topic, roots) in topics.iter().zip(&roots) {
        methods.add(topic, roots, &mut printer);
    }
    let Printer { file: types, .. } = printer;
    if with_client { client(description, &types, methods) } else { types_alone(description, &types) }
}

/// The topics, each once in its direction.
fn described(description: &Description) -> Vec<&TopicDescription> {
    let mut seen = BTreeSet::new();
    let topics = description.topics.iter();
    topics.filter(|it| seen.insert((it.direction == Direction::TowardServer, it.topic.as_str()))).collect()
}

/// The schemas of a topic, as references to types.
struct Roots {
    message: Value,
    /// Of the reply, or of an item.
    back: Value,
    error: Option<Value>,
}

impl Roots {
    fn add(topic: &TopicDescription, definitions: &mut Definitions) -> Self {
        let to_server = topic.direction == Direction::TowardServer;
        let mut add = |schema: &Option<Value>, name: &str, is_sent: bool| {
            let name = name_for(&format!("{}{name}", topic.topic));
            schema.as_ref().map_or(Value::Bool(true), |schema| definitions.add(schema, &name, is_sent))
        };
        let message = add(&topic.schema, "", to_server);
        let is_request = topic.stream || topic.reply.is_some();
        let back = match (is_request, topic.stream) {
            (true, true) => add(&topic.item_schema, " item", !to_server),
            (true, false) => add(&topic.reply_schema, " reply", !to_server),
            (false, _) => Value::Bool(true),
        };
        let error = topic.error_schema.is_some() && is_request;
        Self { message, back, error: error.then(|| add(&topic.error_schema, " error", !to_server)) }
    }
}

fn about(description: &Description, what: &str) -> String {
    let of = description.protocol.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
    let mut text = String::new();
    let version = &description.version;
    docstring(
        &mut text,
        "",
        &format!(
            "{what}{of}, as socket-ipc {version} describes it.\n\nThis file is generated: do not edit it, generate it again."
        ),
    );
    text
}

fn types_alone(description: &Description, types: &str) -> String {
    let about = about(description, "The types of the messages");
    let (_, imports) = HEAD.split_once("\nimport re\n").unwrap_or_default();
    let (imports, _) = imports.split_once("\n# [types]").unwrap_or_default();
    let imports = imports.lines().filter(|line| !line.starts_with("import") || *line == "import sys");
    let imports =
        imports.filter(|line| !line.starts_with("from collections") && !line.starts_with("from dataclasses"));
    let imports = imports.collect::<Vec<_>>().join("\n");
    spaced(&imported(&format!("{about}\nfrom __future__ import annotations\n\n{imports}\n\n{types}")))
}

/// The file without imports of names that it does not use.
fn imported(file: &str) -> String {
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for word in file.split(|char: char| !char.is_alphanumeric() && char != '_') {
        *words.entry(word).or_default() += 1;
    }
    // Where a name that may be left out is imported, it stands twice: for both ages of Python.
    let has_optional = words.get("NotRequired").is_some_and(|count| *count > 2);
    let is_used = |name: &&str| match *name {
        "TYPE_CHECKING" => has_optional,
        name => words.get(name).is_some_and(|count| *count > 1),
    };
    let (mut lines, mut kept) = (file.lines(), Vec::new());
    while let Some(line) = lines.next() {
        if line.starts_with("class ") {
            kept.push(line.to_owned());
            break;
        }
        let names = line
            .split_once(" import ")
            .filter(|_| line.starts_with("from typing ") || line.starts_with("from collections."));
        if let Some((module, names)) = names {
            let names: Vec<&str> = names.split(", ").filter(is_used).collect();
            if !names.is_empty() {
                kept.push(format!("{module} import {}", names.join(", ")));
            }
        } else if !has_optional && (line == "import sys" || line == "if sys.version_info >= (3, 11):") {
            let skipped = if line == "import sys" { 0 } else { 3 };
            lines.by_ref().take(skipped).for_each(drop);
        } else {
            kept.push(line.to_owned());
        }
    }
    kept.extend(lines.map(str::to_owned));
    kept.join("\n") + "\n"
}

fn client(description: &Description, types: &str, methods: Methods) -> String {
    let about = about(description, "A client for the server");
    let wire = &description.wire;
    let server = format!(
        "DELIMITER = {}.encode()\nMESSAGE_KEY = {}\nMAX_MESSAGE_LEN = {}\nHAS_CONTROL_LINES = {}\n{}",
        quoted(&wire.delimiter),
        quoted(&wire.message_key),
        description.limits.max_message_len,
        if wire.is_of_node() { "False" } else { "True" },
        methods.tables(),
    );
    let [errors, wire, stream, connection, responder, client] = CLIENT;
    let head = HEAD.replacen("# [about]\n", &about, 1).replacen("# [server]\n", &server, 1).replacen(
        "# [types]\n",
        types,
        1,
    );
    let client = client.replacen("    # [methods]\n", &methods.methods(), 1);
    let file =
        [&*head, errors, wire, stream, connection, responder, &*methods.failures(), &*client].join("\n\n");
    spaced(&imported(&file))
}

/// The file with no more than two blank lines in a row.
fn spaced(file: &str) -> String {
    let mut spaced = String::with_capacity(file.len());
    let mut blank = 0;
    for line in file.trim_end().lines() {
        blank = if line.is_empty() { blank + 1 } else { 0 };
        if blank <= 2 {
            spaced.push_str(line);
            spaced.push('\n');
        }
    }
    spaced
}

/// Whether a schema refers to a type that may be inlined: inlining that would have no end in a cycle.
fn refers_to_one(schema: &Value, types: &BTreeMap<String, Value>) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(key, value)| {
            let referred = value.as_str().filter(|_| key == "$ref").and_then(type_name);
            let referred = referred.and_then(|name| types.get(name));
            referred.is_some_and(is_inlined) || refers_to_one(value, types)
        }),
        Value::Array(values) => values.iter().any(|value| refers_to_one(value, types)),
        _ => false,
    }
}

/// How many values a schema is made of.
fn size(schema: &Value) -> usize {
    1 + match schema {
        Value::Object(members) => members.values().map(size).sum(),
        Value::Array(values) => values.iter().map(size).sum(),
        _ => 0,
    }
}
