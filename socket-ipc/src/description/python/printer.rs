//! From a schema to a type, and to the classes that it is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::objects::{Member, Object, alternatives, own_object};
use super::text::{docstring, documentation, is_plain_key, quoted, visible};
use super::types::{Type, union};
use crate::description::definitions::{name_for, type_name};
use crate::description::typescript::cycles::Cycles;

/// The names that a type uses, so that no key of a class may have them.
const NAMES_OF_TYPES: &[&str] = &[
    "Any",
    "NoReturn",
    "Literal",
    "Union",
    "Optional",
    "NotRequired",
    "int",
    "str",
    "float",
    "bool",
    "list",
    "dict",
];

pub(super) struct Printer<'s> {
    pub(super) types: &'s BTreeMap<String, Value>,
    pub(super) cycles: Cycles,
    /// The types that have no name in Python.
    pub(super) inlined: BTreeSet<String>,
    /// The names that are taken, and those that are declared above.
    pub(super) taken: BTreeSet<String>,
    pub(super) declared: BTreeSet<String>,
    /// How often each name was wanted.
    pub(super) numbers: BTreeMap<String, u64>,
    pub(super) file: String,
    /// How many schemas are printed at most: a schema that is combined with many others is printed many times.
    pub(super) budget: usize,
}

impl<'s> Printer<'s> {
    /// Declares a type.
    pub(super) fn declare(&mut self, name: &str, schema: &'s Value) {
        let text = documentation(schema);
        if is_combined_object(schema)
            && let Some([object]) = alternatives(schema, self.types, &mut self.budget).as_deref()
            && is_class(object)
        {
            return self.class(name, object, &text);
        }
        let alias = self.type_of(schema, name, Some(name));
        self.file.push_str(&format!("\n{name} = {}\n", alias.fitting(&self.declared, name.len())));
        docstring(&mut self.file, "", &[&*text, &*of_variants(schema)].join("\n\n"));
        self.declared.insert(name.to_owned());
    }

    /// A name that no other declaration has.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let name = if name.is_empty() { "_" } else { name };
        // Numbers go on where they ended: a union may have thousands of objects that are alike.
        let number = self.numbers.entry(name.to_owned()).or_insert(0);
        loop {
            *number += 1;
            let unique = if *number == 1 { name.to_owned() } else { format!("{name}{number}") };
            if self.taken.insert(unique.clone()) {
                return unique;
            }
        }
    }

    /// Declares an object as a class: by its body where all keys can be names in it, or else by a call.
    fn class(&mut self, name: &str, object: &Object<'s>, text: &str) {
        let types: Vec<(&Member<'s>, Type)> =
            object.members.iter().map(|member| (member, self.type_of_member(name, member, object))).collect();
        let file = &mut self.file;
        let is_plain =
            |key: &str| is_plain_key(key) && !NAMES_OF_TYPES.contains(&key) && !self.taken.contains(key);
        let annotation = |member: &Member<'_>, of: &Type| match member.is_required {
            true => of.text(),
            false => format!("NotRequired[{}]", of.text()),
        };
        file.push_str("\n\n");
        if object.members.iter().all(|member| is_plain(member.key)) {
            file.push_str(&format!("class {name}(TypedDict):\n"));
            docstring(file, "    ", text);
            if !text.is_empty() {
                file.push('\n');
            }
            for (member, of) in &types {
                file.push_str(&format!("    {}: {}\n", member.key, annotation(member, of)));
                docstring(file, "    ", &documentation(member.schema));
            }
            file.push('\n');
        } else {
            file.push_str(&format!("{name} = TypedDict(\n    \"{name}\",\n    {{\n"));
            for (member, of) in &types {
                for line in documentation(member.schema).lines() {
                    file.push_str(format!("        # {}", visible(line)).trim_end());
                    file.push('\n');
                }
                let of = annotation(member, of);
                file.push_str(&format!("        {}: {},\n", quoted(member.key), quoted(&of)));
            }
            file.push_str("    },\n)\n");
            docstring(file, "", text);
        }
        self.declared.insert(name.to_owned());
    }

    fn type_of_member(&mut self, class: &str, member: &Member<'s>, object: &Object<'_>) -> Type {
        let words = name_for(member.key);
        let is_wrapper = object.members.len() == 1 && class.ends_with(&words);
        let hint = if is_wrapper { format!("{class}Fields") } else { format!("{class}{words}") };
        self.type_of(member.schema, &hint, None)
    }

    /// The type of a schema. `name` is the beginning of the names of classes that it needs. `of` is the name of the
    /// declared type if the schema is part of that type without an object or an array in between.
    pub(super) fn type_of(&mut self, schema: &'s Value, name: &str, of: Option<&str>) -> Type {
        let whole = schema;
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return Type::Never,
            _ => return Type::Any,
        };
        let Some(budget) = self.budget.checked_sub(1) else { return Type::Any };
        self.budget = budget;
        if schema.get("not").is_some_and(|not| *not == json!({}) || *not == json!(true)) {
            return Type::Never;
        }
        if let Some(value) = schema.get("const") {
            return literal(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return union(values.iter().map(literal));
        }
        if is_combined_object(whole)
            && let Some(objects) = alternatives(whole, self.types, &mut self.budget)
        {
            let is_one = objects.len() == 1;
            let of_all: Vec<Type> = (1..)
                .zip(&objects)
                .map(|(number, object): (usize, _)| {
                    let label = object.label().map_or_else(|| number.to_string(), name_for);
                    self.object(object, &if is_one { name.to_owned() } else { format!("{name}{label}") })
                })
                .collect();
            return union(of_all);
        }
        self.combined(schema, name, of)
    }

    /// The type of a schema that is no object by itself.
    fn combined(&mut self, schema: &'s Map<String, Value>, name: &str, of: Option<&str>) -> Type {
        let mut parts = Vec::new();
        if let Some(referred) = schema.get("$ref").and_then(Value::as_str).and_then(type_name) {
            let closes = of.is_some_and(|of| self.cycles.contains(&(of.to_owned(), referred.to_owned())));
            parts.push(if closes { Type::Any } else { self.declared_type(referred) });
        }
        if let Some(members) = schema.get("allOf").and_then(Value::as_array) {
            parts.extend(members.iter().map(|member| self.type_of(member, name, of)));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(members) = schema.get(key).and_then(Value::as_array) {
                let types: Vec<Type> = (1..)
                    .zip(members)
                    .map(|(number, member): (usize, _)| self.variant(member, name, number, of))
                    .collect();
                parts.push(union(types));
            }
        }
        parts.extend(self.own_type(schema, name));
        // Python has no intersections. One part says what the others only narrow further, or nothing is said.
        let mut parts = parts.into_iter().filter(|part| *part != Type::Any);
        let Some(first) = parts.next() else { return Type::Any };
        if parts.all(|part| part == first) { first } else { Type::Any }
    }

    /// The type of one of several schemas.
    fn variant(&mut self, schema: &'s Value, name: &str, number: usize, of: Option<&str>) -> Type {
        let Some(budget) = self.budget.checked_sub(1) else { return Type::Any };
        self.budget = budget;
        let objects = match is_combined_object(schema) {
            true => alternatives(schema, self.types, &mut self.budget),
            false => None,
        };
        match objects.as_deref() {
            Some([object]) => {
                let label = object.label().map_or_else(|| number.to_string(), name_for);
                self.documented_object(object, &format!("{name}{label}"), &documentation(schema))
            }
            _ => self.type_of(schema, name, of),
        }
    }

    fn declared_type(&mut self, name: &str) -> Type {
        match self.types.get_key_value(name) {
            None => Type::Any,
            Some((_, schema)) if self.inlined.contains(name) => self.type_of(schema, name, Some(name)),
            Some((name, _)) => Type::Declared(name.clone()),
        }
    }

    fn object(&mut self, object: &Object<'s>, name: &str) -> Type {
        self.documented_object(object, name, "")
    }

    fn documented_object(&mut self, object: &Object<'s>, name: &str, text: &str) -> Type {
        if is_class(object) {
            let name = self.unique(name);
            self.class(&name, object, text);
            return Type::Declared(name);
        }
        if object.members.is_empty() && object.others.is_empty() {
            return Type::dict(if object.is_closed { Type::Never } else { Type::Any });
        }
        // A class has no keys beyond its own.
        let schemas = object.members.iter().map(|member| member.schema).chain(object.others.iter().copied());
        let types: Vec<Type> =
            schemas.map(|schema| self.type_of(schema, &format!("{name}Value"), None)).collect();
        Type::dict(union(types))
    }

    /// The type that a schema gives itself, apart from the schemas that it combines.
    fn own_type(&mut self, schema: &'s Map<String, Value>, name: &str) -> Option<Type> {
        match schema.get("type") {
            Some(Value::String(of)) => Some(self.named(schema, of, name)),
            Some(Value::Array(names)) => {
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                let types: Vec<Type> = names.into_iter().map(|of| self.named(schema, of, name)).collect();
                Some(union(types))
            }
            _ if schema.contains_key("items") || schema.contains_key("prefixItems") => {
                Some(self.array(schema, name))
            }
            _ => None,
        }
    }

    fn named(&mut self, schema: &'s Map<String, Value>, of: &str, name: &str) -> Type {
        match of {
            "null" => Type::Plain("None"),
            "string" => Type::Plain("str"),
            "boolean" => Type::Plain("bool"),
            "integer" => Type::Plain("int"),
            "number" => Type::Plain("float"),
            "array" => self.array(schema, name),
            "object" => self.object(&own_object(schema), name),
            _ => Type::Any,
        }
    }

    /// An array is a list, also one of a fixed length: that is what JSON is read as.
    fn array(&mut self, schema: &'s Map<String, Value>, name: &str) -> Type {
        let (first, rest) = (schema.get("prefixItems").and_then(Value::as_array), schema.get("items"));
        let name = format!("{name}Item");
        let mut types: Vec<Type> = Vec::new();
        for item in first.into_iter().flatten() {
            types.push(self.type_of(item, &name, None));
        }
        let is_full =
            schema.get("maxItems").and_then(Value::as_u64).is_some_and(|most| most <= types.len() as u64);
        match rest {
            Some(rest) => types.push(self.type_of(rest, &name, None)),
            None if is_full => {}
            None => types.push(Type::Any),
        }
        Type::list(union(types))
    }
}

/// Whether the keys of an object are known.
fn is_class(object: &Object<'_>) -> bool {
    !object.members.is_empty() && object.others.is_empty()
}

/// Whether a schema has members of an object of its own, apart from those of a type that it refers to, or combines
/// several.
fn is_combined_object(schema: &Value) -> bool {
    let has = |key: &str| schema.get(key).is_some();
    let is_object = has("properties")
        || has("additionalProperties")
        || has("patternProperties")
        || schema.get("type").and_then(Value::as_str) == Some("object");
    let combined = ["$ref", "oneOf", "anyOf"].iter().filter(|key| has(key)).count();
    let parts = schema.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
    is_object || combined + parts > 1
}

/// Whether a type has no name of its own in Python: `()`.
pub(super) fn is_inlined(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The documentation of the variants of an enum that have no class of their own.
fn of_variants(schema: &Value) -> String {
    let variants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let lines = variants.filter_map(|variant| {
        let (value, text) = (variant.get("const")?, documentation(variant));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (!text.is_empty()).then(|| format!("``{value}``: {text}"))
    });
    lines.collect::<Vec<_>>().join("\n\n")
}

/// The type that has only this value.
fn literal(value: &Value) -> Type {
    match value {
        Value::Null => Type::Plain("None"),
        Value::Bool(flag) => Type::Literal(if *flag { "True" } else { "False" }.to_owned()),
        Value::String(text) => Type::Literal(quoted(text)),
        Value::Number(number) if number.is_f64() => Type::Plain("float"),
        Value::Number(number) => Type::Literal(number.to_string()),
        Value::Array(values) => Type::list(union(values.iter().map(literal))),
        Value::Object(_) => Type::dict(Type::Any),
    }
}
