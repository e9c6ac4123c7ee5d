//! Whether two schemas are those of one type. No I/O.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Which of two schemas may require more fields than the other, and still be that of the same type: a field with a default
/// may be left out where it is read, and is there where it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Equal,
    OneRequiresMore,
    OtherRequiresMore,
}

/// Whether two schemas are alike but for the fields that they require.
pub(super) fn alike(one: &Value, other: &Value, strictness: Strictness) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let (its_fields, others_fields) = (required(one), required(other));
            let is_required_alike = match strictness {
                Strictness::Equal => its_fields == others_fields,
                Strictness::OneRequiresMore => others_fields.is_subset(&its_fields),
                Strictness::OtherRequiresMore => its_fields.is_subset(&others_fields),
            };
            let keys = |schema: &Map<String, Value>| {
                schema.iter().filter(|(key, value)| !is_list_of_required(key, value)).count()
            };
            is_required_alike
                && keys(one) == keys(other)
                && one.iter().all(|(key, value)| {
                    is_list_of_required(key, value)
                        || other.get(key).is_some_and(|others| match key.as_str() {
                            "const" | "enum" | "default" | "examples" => value == others,
                            _ => alike(value, others, strictness),
                        })
                })
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| alike(one, other, strictness))
        }
        _ => one == other,
    }
}

/// Requires of a type only what `other`, which is alike, requires as well.
pub(super) fn loosen(schema: &mut Value, other: &Value) {
    match (schema, other) {
        (Value::Object(schema), Value::Object(other)) => {
            let kept: BTreeSet<String> = required(other).into_iter().map(str::to_owned).collect();
            for (key, value) in schema.iter_mut() {
                if is_list_of_required(key, value) {
                    if let Value::Array(fields) = value {
                        fields.retain(|field| field.as_str().is_some_and(|field| kept.contains(field)));
                    }
                } else if let Some(others) = other.get(key) {
                    loosen(value, others);
                }
            }
        }
        (Value::Array(schemas), Value::Array(others)) => {
            schemas.iter_mut().zip(others).for_each(|(schema, other)| loosen(schema, other));
        }
        _ => {}
    }
}

fn required(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let fields = schema.get("required").and_then(Value::as_array);
    fields.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A field may be called `required`, too: then its value is a schema.
fn is_list_of_required(key: &str, value: &Value) -> bool {
    key == "required" && value.is_array()
}
