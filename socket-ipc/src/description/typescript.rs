//! TypeScript out of JSON schemas. No I/O.
//!
//! It knows what serde's types become in draft 2020-12: what else a schema may say narrows a type further than
//! TypeScript can, and is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, name_for, type_name};
use super::{Description, Direction};
use crate::error::error_reply::ERROR_TOPIC;

/// What the file exports beside the types.
const RESERVED: &[&str] = &["ToServer", "ToClient", "Replies", "NodeClient", "TypedClient"];

/// Longer arrays of a fixed length are arrays of any length.
const MAX_TUPLE_LEN: u64 = 16;

/// The end of the file.
const WRAPPER: &str = r"
/** What is used of the Node library's `Client`, which comes without types. */
export interface NodeClient {
    send(topic: string, message: unknown): void;
    on(event: string, listener: (message: any) => void): unknown;
}

/** `send` and `on` for the topics above, with their types. */
export interface TypedClient {
    send<T extends keyof ToServer>(topic: T, message: ToServer[T]): void;
    on<T extends keyof ToClient>(topic: T, listener: (message: ToClient[T]) => void): void;
}

/** Gives a `Client` of the Node library its types; it stays usable without them, for its other events. */
export function typed(client: NodeClient): TypedClient {
    return {
        send: (topic, message) => client.send(topic, message),
        on: (topic, listener) => void client.on(`message.${topic}`, listener),
    };
}
";

/// Which schemas travel under each topic.
type Topics<'d> = BTreeMap<&'d str, Vec<Value>>;

/// The whole file.
pub(super) fn typescript(description: &Description) -> String {
    let mut definitions = Definitions::new(RESERVED);
    let (mut to_server, mut to_client): (Topics<'_>, Topics<'_>) = Default::default();
    let mut replies = BTreeMap::new();
    for topic in &description.topics {
        let (there, back) = match topic.direction {
            Direction::TowardServer => (&mut to_server, &mut to_client),
            Direction::TowardClient => (&mut to_client, &mut to_server),
        };
        let mut add = |schema: &Option<Value>, name: &str| {
            schema.as_ref().map_or(Value::Bool(true), |schema| definitions.add(schema, &name_for(name)))
        };
        there.entry(&topic.topic).or_default().push(add(&topic.schema, &topic.topic));
        if let Some(reply) = &topic.reply {
            back.entry(reply).or_default().push(add(&topic.reply_schema, reply));
            if topic.direction == Direction::TowardServer {
                replies.insert(topic.topic.as_str(), vec![json!({"const": reply})]);
            }
        }
    }
    if !replies.is_empty() {
        // The error reply to a message without a number.
        let error_reply = definitions.add(&error_reply(), "ErrorReply");
        to_client.entry(ERROR_TOPIC).or_default().push(error_reply);
    }

    let types = definitions.types();
    let printer = Printer { cycles: cycles(&types) };
    let mut file = String::new();
    let name = description.protocol.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
    comment(
        &mut file,
        "",
        &format!("The topics{name}, as socket-ipc {} describes them.", description.version),
    );
    for (name, schema) in &types {
        file.push('\n');
        printer.declare(&mut file, name, schema);
    }
    for (name, topics, text) in [
        ("ToServer", &to_server, "What may be sent to the server: the messages, by topic."),
        ("ToClient", &to_client, "What comes from the server: the messages, by topic."),
        ("Replies", &replies, "The topic of the reply to each request to the server."),
    ] {
        file.push('\n');
        comment(&mut file, "", text);
        let _ = writeln!(file, "export interface {name} {{");
        for (topic, schemas) in topics {
            let types = schemas.iter().map(|schema| printer.type_of(schema, None));
            let _ = writeln!(file, "    {}: {};", quoted(topic), union(types).text);
        }
        file.push_str("}\n");
    }
    file.push_str(WRAPPER);
    file
}

/// The schema of [`ErrorReply`](crate::ErrorReply).
fn error_reply() -> Value {
    json!({
        "description": "Why a request failed: a code for programs and a text for people.",
        "type": "object",
        "properties": {"code": {"type": "string"}, "text": {"type": "string"}},
        "required": ["code", "text"],
    })
}

/// A type, and how tightly it holds together.
struct Type {
    text: String,
    binds: Binds,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binds {
    /// `A | B`
    Union,
    /// `A & B`
    Intersection,
    /// Anything else.
    Whole,
}

impl Type {
    fn whole(text: impl Into<String>) -> Self {
        Self { text: text.into(), binds: Binds::Whole }
    }

    fn unknown() -> Self {
        Self::whole("unknown")
    }

    fn is_unknown(&self) -> bool {
        self.text == "unknown"
    }

    /// The type where something holds at least this tightly.
    fn within(self, binds: Binds) -> String {
        if self.binds < binds { format!("({})", self.text) } else { self.text }
    }
}

/// One type of several, each once. Of none there is no value.
fn union(types: impl IntoIterator<Item = Type>) -> Type {
    let mut members: Vec<Type> = Vec::new();
    for member in types {
        if member.is_unknown() {
            return member;
        }
        if member.text != "never" && members.iter().all(|other| other.text != member.text) {
            members.push(member);
        }
    }
    if members.len() > 1 {
        let members: Vec<_> = members.into_iter().map(|member| member.within(Binds::Intersection)).collect();
        return Type { text: members.join(" | "), binds: Binds::Union };
    }
    members.pop().unwrap_or_else(|| Type::whole("never"))
}

/// What is all of several types. Of none it is anything.
fn intersection(types: impl IntoIterator<Item = Type>) -> Type {
    let mut parts: Vec<_> = types.into_iter().filter(|part| !part.is_unknown()).collect();
    if parts.len() > 1 {
        let parts: Vec<_> = parts.into_iter().map(|part| part.within(Binds::Whole)).collect();
        return Type { text: parts.join(" & "), binds: Binds::Intersection };
    }
    parts.pop().unwrap_or_else(Type::unknown)
}

/// Types that are made of each other without an object or an array in between, which TypeScript refuses: the references
/// that are part of such a circle, as who refers and to whom.
type Cycles = BTreeSet<(String, String)>;

fn cycles(types: &BTreeMap<&str, Value>) -> Cycles {
    let mut forth: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut back: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, schema) in types {
        let mut names = Vec::new();
        direct_references(schema, &mut names);
        for reference in &names {
            back.entry(reference).or_default().push(name);
        }
        forth.insert(name, names);
    }
    // Kosaraju's: what is reached backwards from the type that was left last, and is of no circle yet, is one. Without
    // recursion, as another program says how long a chain is.
    let mut circles: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, name) in order_of_leaving(&forth).into_iter().rev().enumerate() {
        let mut ahead = vec![name];
        while let Some(name) = ahead.pop() {
            if !circles.contains_key(name) {
                circles.insert(name, number);
                ahead.extend(back.get(name).into_iter().flatten());
            }
        }
    }
    let all = forth.iter().flat_map(|(name, references)| references.iter().map(move |other| (*name, *other)));
    let within = all.filter(|(name, other)| circles.get(name) == circles.get(other));
    within.map(|(name, other)| (name.to_owned(), other.to_owned())).collect()
}

/// All types, each behind those that it leads to, as far as that is possible.
fn order_of_leaving<'t>(forth: &BTreeMap<&'t str, Vec<&'t str>>) -> Vec<&'t str> {
    let (mut seen, mut left) = (BTreeSet::new(), Vec::new());
    for start in forth.keys() {
        let mut path = vec![(*start, false)];
        while let Some((name, is_done)) = path.pop() {
            if is_done {
                left.push(name);
            } else if seen.insert(name) {
                path.push((name, true));
                path.extend(forth.get(name).into_iter().flatten().map(|other| (*other, false)));
            }
        }
    }
    left
}

fn direct_references<'v>(schema: &'v Value, names: &mut Vec<&'v str>) {
    names.extend(schema.get("$ref").and_then(Value::as_str).and_then(type_name));
    let members = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
    members.flatten().for_each(|member| direct_references(member, names));
}

struct Printer {
    cycles: Cycles,
}

impl Printer {
    /// Declares a type: an interface where it is a plain object.
    fn declare(&self, file: &mut String, name: &str, schema: &Value) {
        document(file, "", schema);
        let of = Some(name);
        if let Some(object) = plain_object(schema) {
            let _ = writeln!(file, "export interface {name} {{");
            for member in self.members(object, false) {
                if let Some(schema) = member.schema {
                    document(file, "    ", schema);
                }
                let _ = writeln!(file, "    {};", member.text);
            }
            file.push_str("}\n");
            return;
        }
        let variants = schema.get("oneOf").and_then(Value::as_array);
        let only_variants = |schema: &Map<String, Value>| {
            schema.keys().all(|key| matches!(key.as_str(), "oneOf" | "description" | "deprecated"))
        };
        match variants.filter(|_| schema.as_object().is_some_and(only_variants)) {
            // Each on a line, below what its documentation says.
            Some(variants) if variants.len() > 1 => {
                let _ = write!(file, "export type {name} =");
                for variant in variants {
                    file.push('\n');
                    document(file, "    ", variant);
                    let variant = self.type_of(variant, of).within(Binds::Intersection);
                    let _ = write!(file, "    | {variant}");
                }
                file.push_str(";\n");
            }
            _ => {
                let _ = writeln!(file, "export type {name} = {};", self.type_of(schema, of).text);
            }
        }
    }

    /// The type of a schema. `of` is the type that is being declared, while the schema is that itself and not a part of
    /// it.
    fn type_of(&self, schema: &Value, of: Option<&str>) -> Type {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return Type::whole("never"),
            _ => return Type::unknown(),
        };
        if schema.get("not").is_some_and(|not| *not == json!({}) || *not == json!(true)) {
            return Type::whole("never");
        }
        let mut parts = Vec::new();
        if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(type_name) {
            let closes = of.is_some_and(|of| self.cycles.contains(&(of.to_owned(), name.to_owned())));
            parts.push(if closes { Type::unknown() } else { Type::whole(name) });
        }
        if let Some(members) = schema.get("allOf").and_then(Value::as_array) {
            parts.extend(members.iter().map(|member| self.type_of(member, of)));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(members) = schema.get(key).and_then(Value::as_array) {
                parts.push(union(members.iter().map(|member| self.type_of(member, of))));
            }
        }
        if let Some(own) = self.own_type(schema, !parts.is_empty()) {
            parts.insert(0, own);
        }
        intersection(parts)
    }

    /// What a schema says by itself, without the schemas that it is made of: `is_part` says whether there are any.
    fn own_type(&self, schema: &Map<String, Value>, is_part: bool) -> Option<Type> {
        if let Some(value) = schema.get("const") {
            return Some(literal(value));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return Some(union(values.iter().map(literal)));
        }
        let one = |key: &str| schema.contains_key(key);
        match schema.get("type") {
            Some(Value::String(name)) => self.named(schema, name, is_part),
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                Some(union(names.map(|name| self.named(schema, name, false).unwrap_or_else(Type::unknown))))
            }
            _ if one("properties") || one("additionalProperties") || one("patternProperties") => {
                self.named(schema, "object", is_part)
            }
            _ if one("items") || one("prefixItems") => Some(self.array(schema)),
            _ => None,
        }
    }

    fn named(&self, schema: &Map<String, Value>, name: &str, is_part: bool) -> Option<Type> {
        Some(match name {
            "null" | "string" | "boolean" | "number" => Type::whole(name),
            "integer" => Type::whole("number"),
            "array" => self.array(schema),
            // What the other parts say is more than that it is an object.
            "object" if is_part && !schema.contains_key("properties") => return None,
            "object" => {
                let members = self.members(schema, is_part).into_iter().map(|member| member.text);
                let members: Vec<_> = members.collect();
                Type::whole(if members.is_empty() {
                    "{}".to_owned()
                } else {
                    format!("{{ {} }}", members.join("; "))
                })
            }
            _ => Type::unknown(),
        })
    }

    /// The members of an object, as an interface lists them.
    fn members<'s>(&self, schema: &'s Map<String, Value>, is_part: bool) -> Vec<Member<'s>> {
        let required: BTreeSet<&str> = match schema.get("required") {
            Some(Value::Array(required)) => required.iter().filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        };
        let (mut members, mut types) = (Vec::new(), Vec::new());
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let ty = self.type_of(schema, None);
            let optional = if required.contains(name.as_str()) { "" } else { "?" };
            members
                .push(Member { text: format!("{}{optional}: {}", key(name), ty.text), schema: Some(schema) });
            types.push(ty);
            if !optional.is_empty() {
                types.push(Type::whole("undefined"));
            }
        }

        let others = schema.get("additionalProperties");
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let mut rest: Vec<_> = patterns.into_iter().flat_map(Map::values).collect();
        rest.extend(others.filter(|others| !others.is_boolean()));
        let rest = match (rest.is_empty(), others) {
            // Closed, and otherwise open to whatever else there may be, which need not be said where there is a member.
            (true, Some(Value::Bool(false))) if members.is_empty() => Type::whole("never"),
            (true, _) if members.is_empty() && !is_part => Type::unknown(),
            (true, _) => return members,
            // Every member is among what this says, in TypeScript, those that other parts have included.
            (false, _) if is_part => Type::unknown(),
            (false, _) => union(rest.into_iter().map(|schema| self.type_of(schema, None)).chain(types)),
        };
        members.push(Member { text: format!("[key: string]: {}", rest.text), schema: None });
        members
    }

    fn array(&self, schema: &Map<String, Value>) -> Type {
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (count("minItems").unwrap_or(0), count("maxItems"));
        let rest = match schema.get("items") {
            Some(Value::Bool(false)) => None,
            Some(items) => Some(self.type_of(items, None)),
            None => Some(Type::unknown()),
        };
        if let Some(first) = schema.get("prefixItems").and_then(Value::as_array) {
            let mut items: Vec<String> = (0..)
                .zip(first)
                .map(|(at, item): (u64, _)| {
                    let item = self.type_of(item, None);
                    if at < least { item.text } else { format!("{}?", item.within(Binds::Whole)) }
                })
                .collect();
            let is_closed = most.is_some_and(|most| most <= first.len() as u64);
            if let Some(rest) = rest.filter(|_| !is_closed) {
                items.push(format!("...{}[]", rest.within(Binds::Whole)));
            }
            return Type::whole(format!("[{}]", items.join(", ")));
        }
        let Some(item) = rest.filter(|_| most != Some(0)) else { return Type::whole("[]") };
        match most {
            Some(most) if most == least && most <= MAX_TUPLE_LEN => {
                let items: Vec<_> = (0..most).map(|_| item.text.as_str()).collect();
                Type::whole(format!("[{}]", items.join(", ")))
            }
            _ => Type::whole(format!("{}[]", item.within(Binds::Whole))),
        }
    }
}

/// A member of an object.
struct Member<'s> {
    text: String,
    /// Where its documentation stands.
    schema: Option<&'s Value>,
}

/// A schema that is an object and nothing else.
fn plain_object(schema: &Value) -> Option<&Map<String, Value>> {
    let object = schema.as_object().filter(|it| it.get("type").and_then(Value::as_str) == Some("object"))?;
    let other = ["$ref", "allOf", "anyOf", "oneOf", "const", "enum", "not"];
    (!other.iter().any(|key| object.contains_key(*key))).then_some(object)
}

/// The type whose only value this is.
fn literal(value: &Value) -> Type {
    match value {
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| literal(value).text).collect();
            Type::whole(format!("[{}]", values.join(", ")))
        }
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", key(name), literal(value).text))
                .collect();
            Type::whole(format!("{{ {} }}", members.join("; ")))
        }
        value => Type::whole(value.to_string()),
    }
}

/// The name of a member, quoted where it has to be.
fn key(name: &str) -> String {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let is_plain = name.chars().all(is_name) && name.starts_with(|first: char| !first.is_ascii_digit());
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// A text as a literal, which JSON and TypeScript write alike.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What the schema says for people.
fn document(file: &mut String, indent: &str, schema: &Value) {
    let mut text = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        text.push_str(if text.is_empty() { "@deprecated" } else { "\n\n@deprecated" });
    }
    comment(file, indent, &text);
}

/// A comment on what follows. Whatever the text holds, it ends where it should.
fn comment(file: &mut String, indent: &str, text: &str) {
    // What is described is another program's: it may end up in a comment, on a terminal too, and nowhere else.
    let printable = |character: &char| !character.is_control() || *character == '\n';
    let text: String = text.trim().chars().filter(printable).collect();
    let text = text.replace("*/", "*\\/");
    if text.is_empty() {
        return;
    }
    let _ = match text.lines().count() {
        1 => writeln!(file, "{indent}/** {text} */"),
        _ => {
            let lines = text.lines().map(|line| format!("{indent} * {}", line.trim_end()));
            let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
            writeln!(file, "{indent}/**\n{}\n{indent} */", lines.join("\n"))
        }
    };
}
