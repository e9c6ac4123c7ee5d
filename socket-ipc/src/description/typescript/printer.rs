//! From a schema to a type.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::cycles::Cycles;
use super::text::{document, key};
use super::types::{Binds, Type, intersection, union};
use crate::description::definitions::type_name;

/// An array of a fixed length is written as a tuple up to this length, and as an array of any length beyond it.
const MAX_TUPLE_LEN: u64 = 16;

pub(super) struct Printer {
    pub(super) cycles: Cycles,
    /// Whether integers are `bigint`s.
    pub(super) is_bigint: bool,
}

impl Printer {
    /// Declares a type. A plain object becomes an interface.
    pub(super) fn declare(&self, file: &mut String, name: &str, schema: &Value) {
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
            // Each variant has its own line, below its documentation.
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

    /// The type of a schema. `of` is the name of the declared type if the schema is part of that type without an object
    /// or an array in between.
    pub(super) fn type_of(&self, schema: &Value, of: Option<&str>) -> Type {
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

    /// The type that a schema gives itself, apart from the schemas that it combines. `is_part` says whether it combines
    /// any.
    fn own_type(&self, schema: &Map<String, Value>, is_part: bool) -> Option<Type> {
        if let Some(value) = schema.get("const") {
            return Some(self.literal(value));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return Some(union(values.iter().map(|value| self.literal(value))));
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
            "integer" => Type::whole(if self.is_bigint { "bigint" } else { "number" }),
            "array" => self.array(schema),
            // The other parts say more than "an object".
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
        // Only a flattened map of any values says that all keys are allowed.
        rest.extend(others.filter(|others| **others != Value::Bool(false)));
        let rest = match (rest.is_empty(), others) {
            // A closed object without members can only be empty. An open one needs no index signature if it has
            // members.
            (true, Some(Value::Bool(false))) if members.is_empty() => Type::whole("never"),
            (true, _) if members.is_empty() && !is_part => Type::unknown(),
            (true, _) => return members,
            // In TypeScript an index signature covers every member, also the members of the other parts.
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

    /// The type that has only this value.
    fn literal(&self, value: &Value) -> Type {
        match value {
            Value::Array(values) => {
                let values: Vec<_> = values.iter().map(|value| self.literal(value).text).collect();
                Type::whole(format!("[{}]", values.join(", ")))
            }
            Value::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{}: {}", key(name), self.literal(value).text))
                    .collect();
                Type::whole(format!("{{ {} }}", members.join("; ")))
            }
            Value::Number(number) if self.is_bigint && !number.is_f64() => Type::whole(format!("{number}n")),
            value => Type::whole(value.to_string()),
        }
    }
}

/// A member of an object.
struct Member<'s> {
    text: String,
    /// The schema that holds its documentation.
    schema: Option<&'s Value>,
}

/// A schema that is an object and nothing else.
fn plain_object(schema: &Value) -> Option<&Map<String, Value>> {
    let object = schema.as_object().filter(|it| it.get("type").and_then(Value::as_str) == Some("object"))?;
    let other = ["$ref", "allOf", "anyOf", "oneOf", "const", "enum", "not"];
    (!other.iter().any(|key| object.contains_key(*key))).then_some(object)
}
