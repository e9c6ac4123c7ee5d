//! TypeScript out of JSON schemas. They come from a server, so nothing in them ends up as anything but a type, a name or
//! a comment.

mod definitions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use socket_ipc::Description;
use socket_ipc::description::Direction;

use definitions::Definitions;

/// What the module itself declares.
const OURS: [&str; 3] = ["ToServer", "ToClient", "Replies"];

/// The module of what a server speaks.
pub(crate) fn written(described: &Description) -> String {
    let (mut module, topics) = (Module::default(), &described.topics);
    let mut travels = |direction| -> Vec<_> {
        let of_it = topics.iter().filter(|topic| topic.direction == direction);
        of_it.map(|topic| (&*topic.topic, module.message(topic.schema.as_ref(), &topic.topic))).collect()
    };
    let (to_server, to_client) = (travels(Direction::TowardServer), travels(Direction::TowardClient));
    let questions = topics.iter().filter_map(|topic| Some((topic, topic.reply.as_deref()?)));
    let replies = questions
        .map(|(topic, reply)| (&*topic.topic, module.message(topic.reply_schema.as_ref(), reply)))
        .collect();

    let of = described
        .protocol
        .as_ref()
        .map_or_else(String::new, |protocol| format!(" of {}", protocol.escape_default()));
    let mut text =
        format!("// The messages{of}. Made by `socket-ipc types`: make it again rather than change it.\n");
    text.extend(module.declared.into_values());
    for (name, what, topics) in [
        ("ToServer", "What travels to the server, by topic.", to_server),
        ("ToClient", "What travels to clients, by topic.", to_client),
        ("Replies", "What answers a question, by the topic of the question.", replies),
    ] {
        let members: String =
            topics.into_iter().map(|(topic, of_type)| format!("  {}: {of_type};\n", key(topic))).collect();
        text += &format!("\n/** {what} */\nexport interface {name} {{\n{members}}}\n");
    }
    text
}

/// The types that were declared.
#[derive(Default)]
struct Module {
    /// The declarations, by the name of their types.
    declared: BTreeMap<String, String>,
    /// Which of them is that of a definition: two schemas may define the same, and different things by one name.
    named: Vec<(Definition, String)>,
    /// Those that have a name and are not declared yet.
    ahead: Vec<(Definition, String)>,
}

/// A definition, and all that it refers to.
#[derive(Clone, PartialEq)]
struct Definition {
    name: String,
    definitions: Definitions,
}

/// A type as it is written, and whether it has to be put into parentheses before anything else is.
struct Type {
    text: String,
    is_compound: bool,
}

impl Type {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_compound: false }
    }

    fn unknown() -> Self {
        Self::plain("unknown")
    }

    fn is_unknown(&self) -> bool {
        self.text == "unknown"
    }

    /// Any of these.
    fn union(of: impl IntoIterator<Item = Self>) -> Self {
        let mut of: Vec<_> = of.into_iter().collect();
        if of.iter().any(Self::is_unknown) {
            return Self::unknown();
        }
        let mut seen = BTreeSet::new();
        of.retain(|one| seen.insert(one.text.clone()));
        Self::joined(of, " | ", "never")
    }

    /// All of these at once.
    fn intersection(mut of: Vec<Self>) -> Self {
        of.retain(|one| !one.is_unknown());
        Self::joined(of, " & ", "unknown")
    }

    fn joined(mut of: Vec<Self>, operator: &str, none: &str) -> Self {
        if of.len() == 1 {
            return of.remove(0);
        }
        if of.is_empty() {
            return Self::plain(none);
        }
        Self { text: of.iter().map(Self::grouped).collect::<Vec<_>>().join(operator), is_compound: true }
    }

    fn grouped(&self) -> String {
        if self.is_compound { format!("({})", self.text) } else { self.text.clone() }
    }
}

impl Module {
    /// The type of the messages of a topic, by name; what has no schema may be anything.
    fn message(&mut self, schema: Option<&Value>, topic: &str) -> String {
        let Some(Value::Object(schema)) = schema else { return "unknown".to_owned() };
        let name = schema.get("title").and_then(Value::as_str).unwrap_or(topic);
        let definitions = definitions::of(schema, name);
        let declared = self.definition(&definitions, name);
        self.declare();
        declared.unwrap_or_else(|| "unknown".to_owned())
    }

    /// The name of a definition, which will be declared unless it was before: not at once, as definitions may refer to
    /// each other in long chains, and to themselves.
    fn definition(&mut self, all: &Definitions, name: &str) -> Option<String> {
        let definition = Definition {
            name: all.get_key_value(name)?.0.clone(),
            definitions: definitions::reached(all, name),
        };
        if let Some((_, declared)) = self.named.iter().find(|(known, _)| *known == definition) {
            return Some(declared.clone());
        }
        let declared = self.free(&identifier(name));
        self.declared.insert(declared.clone(), String::new());
        self.ahead.push((definition.clone(), declared.clone()));
        self.named.push((definition, declared.clone()));
        Some(declared)
    }

    /// Declares what has got a name and nothing else yet.
    fn declare(&mut self) {
        while let Some((Definition { name, definitions }, declared)) = self.ahead.pop() {
            if let Some(schema) = definitions.get(&name) {
                let of = self.of(&definitions, schema, 0).text;
                let text = format!("\n{}export type {declared} = {of};\n", comment(schema, ""));
                self.declared.insert(declared, text);
            }
        }
    }

    fn free(&self, name: &str) -> String {
        let is_free = |name: &String| !self.declared.contains_key(name) && !OURS.contains(&&**name);
        let numbered = (2u64..).map(|number| format!("{name}{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
    }

    /// What a schema allows.
    fn of(&mut self, all: &Definitions, schema: &Value, depth: usize) -> Type {
        let Value::Object(schema) = schema else {
            return Type::plain(if schema == &Value::Bool(false) { "never" } else { "unknown" });
        };
        let mut of = Vec::new();
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = definitions::name(reference).and_then(|name| self.definition(all, &name));
            of.push(name.map_or_else(Type::unknown, Type::plain));
        }
        match (schema.get("const"), schema.get("enum"), types(schema)) {
            (Some(only), ..) => of.push(literal(only)),
            (None, Some(Value::Array(some)), _) => of.push(Type::union(some.iter().map(literal))),
            (None, _, Some(names)) => {
                let names = names.into_iter().map(|name| self.of_type(all, schema, name, depth));
                of.push(Type::union(names.collect::<Vec<_>>()));
            }
            _ => {}
        }
        for any in ["oneOf", "anyOf"] {
            if let Some(Value::Array(some)) = schema.get(any) {
                let some: Vec<_> = some.iter().map(|one| self.of(all, one, depth)).collect();
                of.push(Type::union(some));
            }
        }
        if let Some(Value::Array(some)) = schema.get("allOf") {
            of.extend(some.iter().map(|one| self.of(all, one, depth)));
        }
        Type::intersection(of)
    }

    fn of_type(&mut self, all: &Definitions, schema: &Map<String, Value>, name: &str, depth: usize) -> Type {
        match name {
            "string" | "boolean" | "null" | "number" => Type::plain(name),
            "integer" => Type::plain("number"),
            "array" => self.array(all, schema, depth),
            "object" => self.object(all, schema, depth),
            _ => Type::unknown(),
        }
    }

    fn array(&mut self, all: &Definitions, schema: &Map<String, Value>, depth: usize) -> Type {
        let items = schema.get("items").map_or_else(Type::unknown, |items| self.of(all, items, depth));
        let Some(Value::Array(first)) = schema.get("prefixItems") else {
            return Type::plain(format!("{}[]", items.grouped()));
        };
        let most = schema.get("maxItems").and_then(Value::as_u64);
        let is_open = items.text != "never" && most.is_none_or(|most| most > first.len() as u64);
        let mut first: Vec<_> = first.iter().map(|one| self.of(all, one, depth).text).collect();
        if is_open {
            first.push(format!("...{}[]", items.grouped()));
        }
        Type::plain(format!("[{}]", first.join(", ")))
    }

    fn object(&mut self, all: &Definitions, schema: &Map<String, Value>, depth: usize) -> Type {
        let part = |key| schema.get(key).and_then(Value::as_object);
        let properties = part("properties").filter(|properties| !properties.is_empty());
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let others: Vec<_> =
            part("patternProperties").into_iter().flat_map(Map::values).chain(others).collect();

        let mut both = Vec::new();
        if let Some(properties) = properties {
            let space = "  ".repeat(depth + 1);
            let mut text = "{\n".to_owned();
            for (name, property) in properties {
                let mark = if is_required(name) { "" } else { "?" };
                let of = self.of(all, property, depth + 1).text;
                text += &format!("{}{space}{}{mark}: {of};\n", comment(property, &space), key(name));
            }
            both.push(Type::plain(format!("{text}{}}}", "  ".repeat(depth))));
        }
        if properties.is_none() || !others.is_empty() {
            let of: Vec<_> = others.into_iter().map(|one| self.of(all, one, depth)).collect();
            let of = if of.is_empty() { Type::unknown() } else { Type::union(of) };
            // Not `Record`, which may not refer to the type that it is part of.
            both.push(Type::plain(format!("{{ [key: string]: {} }}", of.text)));
        }
        Type::intersection(both)
    }
}

/// The types that a schema names, or means.
fn types(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    match schema.get("type") {
        Some(Value::String(name)) => Some(vec![name]),
        Some(Value::Array(names)) => Some(names.iter().filter_map(Value::as_str).collect()),
        _ if schema.contains_key("properties") => Some(vec!["object"]),
        _ if schema.contains_key("prefixItems") => Some(vec!["array"]),
        _ => None,
    }
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Array(_) | Value::Object(_) => Type::unknown(),
        plain => Type::plain(plain.to_string()),
    }
}

/// The name of a property.
fn key(name: &str) -> String {
    if identifier(name) == name || is_word(name) { name.to_owned() } else { Value::from(name).to_string() }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// A name of a type, made of any text. It begins with a capital letter, so that it is none of the language's own words.
fn identifier(text: &str) -> String {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let mut name = String::new();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name } else { format!("Message{name}") }
}

/// The description of a schema as a comment, if it has one.
fn comment(schema: &Value, space: &str) -> String {
    let Some(text) = schema.get("description").and_then(Value::as_str) else { return String::new() };
    let mut lines = text.lines().map(|line| line.replace("*/", "*\\/").replace(char::is_control, " "));
    let first = lines.next().unwrap_or_default();
    let mut comment = format!("{space}/** {first}");
    for line in lines {
        comment += &format!("\n{space} * {line}");
    }
    comment + " */\n"
}
