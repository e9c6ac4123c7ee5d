//! The types that the schemas of a description define, each declared once under a unique name. No I/O.
//!
//! Every schema has its own definitions under `$defs`. Two schemas may define the same type, or different types of the
//! same name. Equal types are merged into one; a different type of the same name gets a number after its name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::alike::{Strictness, alike, loosen};

/// The prefix of a reference to a definition of the same schema.
const DEFINITIONS: &str = "#/$defs/";
/// The same in drafts before 2019-09.
const OLD_DEFINITIONS: &str = "#/definitions/";
/// The local name of the type that a schema itself is. No definition has it: it is no part of a pointer.
const ROOT: &str = "#";

/// The types of several schemas.
#[derive(Default)]
pub(super) struct Definitions {
    schemas: Vec<Schema>,
    /// For each global name: the index of the schema that defines the type, and its name in that schema.
    names: BTreeMap<String, (usize, String)>,
    /// The global names, in the order in which their types were added.
    order: Vec<String>,
    /// Names that no type gets.
    reserved: Vec<&'static str>,
    /// Whether a type that is sent and received is one, with a field that may be left out where either may lack it.
    is_merging: bool,
}

/// One schema, split into its types.
struct Schema {
    types: BTreeMap<String, Value>,
    /// What each type is called by its author: schemars numbers the second of a name within a schema.
    bases: BTreeMap<String, String>,
    /// The global name of each type.
    names: BTreeMap<String, String>,
    /// Whether the program that the types are for sends them.
    is_sent: BTreeSet<String>,
}

/// A name in an earlier schema, and a name in the added one.
type Pair = (String, String);

impl Definitions {
    /// Starts without types. No type ever gets one of the reserved names.
    pub(super) fn new(reserved: &[&'static str]) -> Self {
        Self { reserved: reserved.to_vec(), ..Self::default() }
    }

    /// The same for a language in which a type that is both sent and received is written once.
    pub(super) fn merging(reserved: &[&'static str]) -> Self {
        Self { is_merging: true, ..Self::new(reserved) }
    }

    /// Adds the types of a schema, and returns a reference to its root type. The root type is named after the schema's
    /// title, or `name` where it has none. `is_sent` says whether the program that the types are for sends it.
    pub(super) fn add(&mut self, schema: &Value, name: &str, is_sent: bool) -> Value {
        let Value::Object(schema) = schema else {
            // `true` and `false` define no type.
            return schema.clone();
        };
        let mut added = Schema::new(schema.clone(), name, is_sent);
        let is_declared = !self.is_merging || !is_of_the_language(&added.bases[ROOT]) || added.is_recursive();
        let mut compared = BTreeMap::new();
        for name in added.in_order() {
            if is_declared || name != ROOT {
                let global = self.place(&added, &name, &mut compared);
                added.names.insert(name, global);
            }
        }
        let root = match added.names.get(ROOT) {
            Some(global) => json!({"$ref": format!("{DEFINITIONS}{global}")}),
            None => added.globally(&added.types[ROOT]),
        };
        self.schemas.push(added);
        root
    }

    /// Chooses the global name of a type of the schema `added`. `compared` caches, for each earlier schema, the pairs of
    /// names that mean different types.
    fn place(
        &mut self,
        added: &Schema,
        name: &str,
        compared: &mut BTreeMap<usize, BTreeSet<Pair>>,
    ) -> String {
        for global in numbered(&identifier(&added.bases[name])) {
            if self.reserved.contains(&&*global) {
                continue;
            }
            let Some((index, other)) = self.names.get(&global) else {
                self.names.insert(global.clone(), (self.schemas.len(), name.to_owned()));
                self.order.push(global.clone());
                return global;
            };
            // Without a schema at that index, the name belongs to `added` itself.
            let Some(schema) = self.schemas.get(*index) else { continue };
            if schema.bases.get(other) != added.bases.get(name) {
                continue;
            }
            let is_merging = self.is_merging;
            let differing = compared.entry(*index).or_insert_with(|| differing(schema, added, is_merging));
            let pair = (other.clone(), name.to_owned());
            if !differing.contains(&pair) {
                let (index, other) = (*index, other.clone());
                self.schemas[index].loosen(&other, added, name);
                return global;
            }
        }
        String::new()
    }

    /// All types by their global names, in the order in which they were added: each topic's, and what it consists of.
    /// Their references use global names, too.
    pub(super) fn types(&self) -> Vec<(&str, Value)> {
        let types = self.order.iter().filter_map(|global| {
            let (schema, name) = self.names.get(global)?;
            let schema = self.schemas.get(*schema)?;
            Some((global.as_str(), schema.globally(schema.types.get(name)?)))
        });
        types.collect()
    }
}

impl Schema {
    fn new(mut schema: Map<String, Value>, name: &str, is_sent: bool) -> Self {
        schema.remove("$schema");
        schema.remove("$id");
        let mut types = BTreeMap::new();
        for key in ["$defs", "definitions"] {
            if let Some(Value::Object(definitions)) = schema.remove(key) {
                types.extend(definitions);
            }
        }
        types.remove(ROOT);
        let title = schema.remove("title");
        let title = title.as_ref().and_then(Value::as_str).filter(|title| !title.is_empty());
        let root = title.unwrap_or(name).to_owned();
        types.insert(ROOT.to_owned(), Value::Object(schema));

        let known: BTreeSet<String> = types.keys().cloned().collect();
        for schema in types.values_mut() {
            for_each_reference(schema, &mut |reference| {
                let name = if reference == ROOT { Some(ROOT.into()) } else { referred(reference) };
                match name.filter(|name| known.contains(&**name)) {
                    Some(name) => *reference = format!("{DEFINITIONS}{name}"),
                    // The reference leads nowhere. It must not lead to a type of that name in another schema.
                    None if reference.starts_with(DEFINITIONS) => *reference = "#/$unknown".to_owned(),
                    None => {}
                }
            });
        }
        let base = |name: &String| {
            if name == ROOT {
                return root.clone();
            }
            let base = name.trim_end_matches(|char: char| char.is_ascii_digit());
            let is_numbered = base != name && (known.contains(base) || base == root);
            if is_numbered { base.to_owned() } else { name.clone() }
        };
        let bases = known.iter().map(|name| (name.clone(), base(name))).collect();
        let is_sent = if is_sent { known } else { BTreeSet::new() };
        Self { types, bases, names: BTreeMap::new(), is_sent }
    }

    /// The names of its types: the root, and after each type those that it refers to first. Types that nothing refers to
    /// come last.
    fn in_order(&self) -> Vec<String> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        let mut ahead: Vec<String> = self.types.keys().filter(|name| *name != ROOT).rev().cloned().collect();
        ahead.push(ROOT.to_owned());
        while let Some(name) = ahead.pop() {
            if seen.insert(name.clone()) {
                let mut parts = references(&self.types[&name]);
                parts.reverse();
                ahead.extend(parts);
                order.push(name);
            }
        }
        order
    }

    /// Makes a type fit for what `other` means by it, too.
    fn loosen(&mut self, name: &str, other: &Self, other_name: &str) {
        if let (Some(own), Some(others)) = (self.types.get_mut(name), other.types.get(other_name)) {
            loosen(own, others);
        }
        if other.is_sent.contains(other_name) {
            self.is_sent.insert(name.to_owned());
        }
    }
}

/// The name of the type that a reference of [`Definitions::types`] leads to.
pub(super) fn type_name(reference: &str) -> Option<&str> {
    reference.strip_prefix(DEFINITIONS)
}

/// The pairs of equal names that mean different types in the two schemas: the types differ themselves, or in one of
/// their parts.
fn differing(one: &Schema, other: &Schema, is_merging: bool) -> BTreeSet<Pair> {
    let mut by_base: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for (name, base) in &one.bases {
        by_base.entry(base).or_default().push(name);
    }
    let mut made_of_it: BTreeMap<Pair, Vec<Pair>> = BTreeMap::new();
    let (mut differing, mut ahead) = (BTreeSet::new(), Vec::new());
    for (name, schema) in &other.types {
        for others in by_base.get(&*other.bases[name]).into_iter().flatten() {
            let pair = ((*others).clone(), name.clone());
            let (its, own) = (&one.types[*others], schema);
            let strictness = match (one.is_sent.contains(*others), other.is_sent.contains(name)) {
                (true, false) if is_merging => Strictness::OtherRequiresMore,
                (false, true) if is_merging => Strictness::OneRequiresMore,
                _ => Strictness::Equal,
            };
            if !alike(&one.by_base(its), &other.by_base(own), strictness) {
                differing.insert(pair.clone());
                ahead.push(pair);
                continue;
            }
            for part in references(its).into_iter().zip(references(own)) {
                made_of_it.entry(part).or_default().push(pair.clone());
            }
        }
    }
    while let Some(part) = ahead.pop() {
        for whole in made_of_it.remove(&part).into_iter().flatten() {
            if differing.insert(whole.clone()) {
                ahead.push(whole);
            }
        }
    }
    differing
}

impl Schema {
    /// Whether the root is part of itself.
    fn is_recursive(&self) -> bool {
        self.types.values().any(|schema| references(schema).iter().any(|name| name == ROOT))
    }

    /// A schema whose references have global names.
    fn globally(&self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        for_each_reference(&mut schema, &mut |reference| {
            if let Some(global) = type_name(reference).and_then(|name| self.names.get(name)) {
                *reference = format!("{DEFINITIONS}{global}");
            }
        });
        schema
    }

    /// A schema whose references have the names that the author gave.
    fn by_base(&self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        for_each_reference(&mut schema, &mut |reference| {
            if let Some(base) = type_name(reference).and_then(|name| self.bases.get(name)) {
                *reference = format!("{DEFINITIONS}{base}");
            }
        });
        schema
    }
}

/// The names of the types that a schema refers to, in order.
fn references(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for_each_reference(&mut schema.clone(), &mut |reference| {
        names.extend(type_name(reference).map(str::to_owned))
    });
    names
}

/// Calls `with` for every reference in a schema. Data in the schema, such as defaults, is skipped.
fn for_each_reference(schema: &mut Value, with: &mut impl FnMut(&mut String)) {
    let Value::Object(schema) = schema else { return };
    for (key, value) in schema {
        match (key.as_str(), value) {
            ("$ref", Value::String(reference)) => with(reference),
            ("const" | "enum" | "default" | "examples" | "required", _) => {}
            ("properties" | "patternProperties" | "dependentSchemas" | "$defs", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| for_each_reference(schema, with));
            }
            (_, Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| for_each_reference(schema, with));
            }
            (_, value) => for_each_reference(value, with),
        }
    }
}

/// The name that a reference leads to, unescaped: first as a URI, then as a JSON pointer.
fn referred(reference: &str) -> Option<Cow<'_, str>> {
    let pointer = reference.strip_prefix(DEFINITIONS).or_else(|| reference.strip_prefix(OLD_DEFINITIONS))?;
    if !pointer.contains(['%', '~']) {
        return Some(pointer.into());
    }
    let (mut bytes, mut rest) = (Vec::new(), pointer.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| byte == b'%').and_then(|code| str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    Some(String::from_utf8(bytes).ok()?.replace("~1", "/").replace("~0", "~").into())
}

/// A name, then the same name with the numbers from 2 on after it.
fn numbered(name: &str) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain((2_u64..).map(move |number| format!("{name}{number}")))
}

/// An identifier for a type. It begins with a capital letter, so that it is no keyword.
fn identifier(name: &str) -> String {
    let part = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
    let mut name: String = name.chars().map(part).collect();
    match name.get_mut(..1) {
        Some(first) => first.make_ascii_uppercase(),
        None => name.push('_'),
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Whether schemars calls a type so that has no name of its own in Rust: numbers, texts, lists, maps.
fn is_of_the_language(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["Array_", "Map_", "Nullable_", "Set_of_", "Tuple_of_"];
    name.starts_with(|first: char| first.is_ascii_lowercase())
        || ["AnyValue", "Boolean", "Character"].contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The name of a type for the messages of a topic: `HowMany` for `how many`.
pub(super) fn name_for(topic: &str) -> String {
    let words = topic.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(identifier).collect()
}

/// Several types as the members of one JSON object.
pub(super) fn document(types: Vec<(&str, Value)>) -> Map<String, Value> {
    types.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
