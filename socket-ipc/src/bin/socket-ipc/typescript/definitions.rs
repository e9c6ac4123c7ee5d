//! What the schema of a topic defines, and what of it refers to what.

use serde_json::{Map, Value};

/// Where the definitions of a schema stand in it.
const DEFINITIONS: &str = "#/$defs/";

/// The definitions of one schema, itself among them.
pub(super) type Definitions = Map<String, Value>;

/// The definitions of a schema. It is one among them, by its name, so that it is the same wherever it is used.
pub(super) fn of(schema: &Map<String, Value>, name: &str) -> Definitions {
    let mut definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut own = schema.clone();
    own.retain(|key, _| !["$schema", "$id", "$defs", "title"].contains(&key.as_str()));
    definitions.insert(name.to_owned(), Value::Object(own));
    let reference = format!("{DEFINITIONS}{}", name.replace('~', "~0").replace('/', "~1"));
    definitions.values_mut().for_each(|schema| refer_to_root_by(schema, &reference));
    definitions
}

/// The definitions that one of them reaches, itself among them.
pub(super) fn reached(all: &Definitions, name: &str) -> Definitions {
    let mut reached = Map::new();
    let mut ahead = vec![name.to_owned()];
    while let Some(name) = ahead.pop() {
        if let Some(schema) = all.get(&name).filter(|_| !reached.contains_key(&name)) {
            each_reference(schema, &mut |reference| ahead.extend(self::name(reference)));
            reached.insert(name, schema.clone());
        }
    }
    reached
}

fn each_reference(schema: &Value, with: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(parts) => {
            if let Some(Value::String(reference)) = parts.get("$ref") {
                with(reference);
            }
            parts.values().for_each(|part| each_reference(part, with));
        }
        Value::Array(parts) => parts.iter().for_each(|part| each_reference(part, with)),
        _ => {}
    }
}

/// Has a schema call the root by another name than `#`.
fn refer_to_root_by(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(parts) => {
            for (key, part) in parts {
                if key == "$ref" && part == "#" {
                    *part = name.into();
                }
                refer_to_root_by(part, name);
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| refer_to_root_by(part, name)),
        _ => {}
    }
}

/// The name of the definition that a reference refers to.
pub(super) fn name(reference: &str) -> Option<String> {
    Some(reference.strip_prefix(DEFINITIONS)?.replace("~1", "/").replace("~0", "~"))
}
