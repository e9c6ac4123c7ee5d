//! The types that the schemas of a description define, each declared once under a unique name. No I/O.
//!
//! Every schema has its own definitions under `$defs`. Two schemas may define the same type, or different types of the
//! same name. Equal types are merged into one; a different type of the same name gets a number after its name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The prefix of a reference to a definition of the same schema.
const DEFINITIONS: &str = "#/$defs/";
/// The same in drafts before 2019-09.
const OLD_DEFINITIONS: &str = "#/definitions/";

/// The types of several schemas.
#[derive(Default)]
pub(super) struct Definitions {
    schemas: Vec<Schema>,
    /// For each global name: the index of the schema that defines the type, and its name in that schema.
    names: BTreeMap<String, (usize, String)>,
    /// Names that no type gets.
    reserved: &'static [&'static str],
}

/// One schema, split into its types.
struct Schema {
    types: BTreeMap<String, Value>,
    /// The global name of each type.
    names: BTreeMap<String, String>,
}

impl Definitions {
    /// Starts without types. No type ever gets one of the reserved names.
    pub(super) fn new(reserved: &'static [&'static str]) -> Self {
        Self { reserved, ..Self::default() }
    }

    /// Adds the types of a schema, and returns a reference to its root type. The root type is named after the schema's
    /// title, or `name` where it has none.
    pub(super) fn add(&mut self, schema: &Value, name: &str) -> Value {
        let Value::Object(schema) = schema else {
            // `true` and `false` define no type.
            return schema.clone();
        };
        let mut schema = schema.clone();
        schema.remove("$schema");
        schema.remove("$id");
        let mut types = BTreeMap::new();
        for key in ["$defs", "definitions"] {
            if let Some(Value::Object(definitions)) = schema.remove(key) {
                types.extend(definitions);
            }
        }
        let title = schema.remove("title");
        let title = title.as_ref().and_then(Value::as_str).filter(|title| !title.is_empty());
        let root = numbered(title.unwrap_or(name)).find(|name| !types.contains_key(name)).unwrap_or_default();
        types.insert(root.clone(), Value::Object(schema));

        let known: BTreeSet<String> = types.keys().cloned().collect();
        for schema in types.values_mut() {
            for_each_reference(schema, &mut |reference| {
                let name = if reference == "#" { Some(root.as_str().into()) } else { referred(reference) };
                match name.filter(|name| known.contains(&**name)) {
                    Some(name) => *reference = format!("{DEFINITIONS}{name}"),
                    // The reference leads nowhere. It must not lead to a type of that name in another schema.
                    None if reference.starts_with(DEFINITIONS) => *reference = "#/$unknown".to_owned(),
                    None => {}
                }
            });
        }
        let mut added = Schema { types, names: BTreeMap::new() };
        let mut compared = BTreeMap::new();
        for name in added.types.keys() {
            let global = self.place(&added, name, &mut compared);
            added.names.insert(name.clone(), global);
        }
        let reference = json!({"$ref": format!("{DEFINITIONS}{}", added.names[&root])});
        self.schemas.push(added);
        reference
    }

    /// Chooses the global name of a type of the schema `added`. `compared` caches, for each earlier schema, the names
    /// that mean a different type in `added`.
    fn place(
        &mut self,
        added: &Schema,
        name: &str,
        compared: &mut BTreeMap<usize, BTreeSet<String>>,
    ) -> String {
        for global in numbered(&identifier(name)) {
            if self.reserved.contains(&&*global) {
                continue;
            }
            match self.names.get(&global) {
                None => {
                    self.names.insert(global.clone(), (self.schemas.len(), name.to_owned()));
                    return global;
                }
                Some((index, other)) if other == name => {
                    // Without a schema at that index, the name belongs to `added` itself.
                    let Some(schema) = self.schemas.get(*index) else { continue };
                    if !compared.entry(*index).or_insert_with(|| differing(schema, added)).contains(name) {
                        return global;
                    }
                }
                Some(_) => {}
            }
        }
        String::new()
    }

    /// All types by their global names. Their references use global names, too.
    pub(super) fn types(&self) -> BTreeMap<&str, Value> {
        let types = self.names.iter().filter_map(|(global, (schema, name))| {
            let Schema { types, names } = self.schemas.get(*schema)?;
            let mut schema = types.get(name)?.clone();
            for_each_reference(&mut schema, &mut |reference| {
                if let Some(global) = reference.strip_prefix(DEFINITIONS).and_then(|name| names.get(name)) {
                    *reference = format!("{DEFINITIONS}{global}");
                }
            });
            Some((global.as_str(), schema))
        });
        types.collect()
    }
}

/// The name of the type that a reference of [`Definitions::types`] leads to.
pub(super) fn type_name(reference: &str) -> Option<&str> {
    reference.strip_prefix(DEFINITIONS)
}

/// The names that mean different types in the two schemas: the types differ themselves, or in one of their parts.
fn differing(one: &Schema, other: &Schema) -> BTreeSet<String> {
    let mut made_of_it: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    let (mut differing, mut ahead) = (BTreeSet::new(), Vec::new());
    for (name, schema) in &other.types {
        if one.types.get(name) != Some(schema) {
            differing.insert(name.clone());
            ahead.push(name.clone());
        }
        for_each_reference(&mut schema.clone(), &mut |reference| {
            if let Some(part) = type_name(reference) {
                made_of_it.entry(part.to_owned()).or_default().push(name);
            }
        });
    }
    while let Some(name) = ahead.pop() {
        for whole in made_of_it.remove(&name).into_iter().flatten() {
            if differing.insert(whole.clone()) {
                ahead.push(whole.clone());
            }
        }
    }
    differing
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

/// The name of a type for the messages of a topic: `HowMany` for `how many`.
pub(super) fn name_for(topic: &str) -> String {
    let words = topic.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(identifier).collect()
}

/// Several types as the members of one JSON object.
pub(super) fn document(types: BTreeMap<&str, Value>) -> Map<String, Value> {
    types.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
