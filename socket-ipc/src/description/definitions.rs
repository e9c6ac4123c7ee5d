//! The types that the schemas of a description name, each once and with a name of its own. No I/O.
//!
//! Every schema stands alone, with definitions of its own under `$defs`. Two of them may name the same type, or two
//! types may have the same name: what is the same through and through is shared, anything else gets a number behind its
//! name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Where a reference within a schema leads.
const DEFINITIONS: &str = "#/$defs/";
/// The same in drafts before 2019-09.
const OLD_DEFINITIONS: &str = "#/definitions/";

/// The types of several schemas.
#[derive(Default)]
pub(super) struct Definitions {
    schemas: Vec<Schema>,
    /// By its name among all of them, which schema a type is of, and what that calls it.
    names: BTreeMap<String, (usize, String)>,
    /// Names that no type gets.
    reserved: &'static [&'static str],
}

/// One schema, taken apart into types.
struct Schema {
    types: BTreeMap<String, Value>,
    /// What each is called among all schemas.
    names: BTreeMap<String, String>,
}

impl Definitions {
    /// No types yet, and none of them ever with one of these names.
    pub(super) fn new(reserved: &'static [&'static str]) -> Self {
        Self { reserved, ..Self::default() }
    }

    /// Adds the types of a schema, and returns the schema that refers to its own: by its title, or by `name`.
    pub(super) fn add(&mut self, schema: &Value, name: &str) -> Value {
        let Value::Object(schema) = schema else {
            // `true` and `false`, which name nothing.
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
                    // Leads to where nothing is, and goes on to do so whatever is called by that name elsewhere.
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

    /// The name among all schemas of a type of one that is about to be added. `compared` is what is known of how it
    /// differs from those that there are.
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
                    // One that is not there is that which is about to be.
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

    /// All types by their names, with references to each other by these names.
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

/// The names that mean another type in one schema than in the other: it differs itself, or something that it is made
/// of.
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

/// Calls `with` for every reference in a schema. What stands in it as data is passed over.
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

/// The name that a reference leads to, out of its escapes: those of a URI around those of a JSON pointer.
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

/// A name, and then the same with a number behind it.
fn numbered(name: &str) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain((2_u64..).map(move |number| format!("{name}{number}")))
}

/// What a type can be called in a program: it begins with a capital, so that it is no word of the language.
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

/// One document of several types.
pub(super) fn document(types: BTreeMap<&str, Value>) -> Map<String, Value> {
    types.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
