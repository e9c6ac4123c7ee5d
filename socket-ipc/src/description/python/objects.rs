//! The objects that a schema stands for, combined schemas included. No I/O.
//!
//! Python has no intersection of types. So an object that is combined of several schemas, such as one with flattened
//! fields, becomes one object with the members of all; where one of them is an enum, one for each variant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::description::definitions::type_name;

/// A schema with more variants than this is no object but any value.
const MAX_ALTERNATIVES: usize = 64;
/// How many schemas are combined into one at most.
const MAX_PARTS: usize = 250;

#[derive(Clone, Default)]
pub(super) struct Object<'s> {
    pub(super) members: Vec<Member<'s>>,
    /// The schemas of values under other keys.
    pub(super) others: Vec<&'s Value>,
    pub(super) is_closed: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Member<'s> {
    pub(super) key: &'s str,
    pub(super) schema: &'s Value,
    pub(super) is_required: bool,
}

/// The alternatives of an object. `None` if the schema may be no object. It looks at no more schemas than `budget`, and
/// takes what it looks at from there.
pub(super) fn alternatives<'s>(
    schema: &'s Value,
    types: &'s BTreeMap<String, Value>,
    budget: &mut usize,
) -> Option<Vec<Object<'s>>> {
    let most = MAX_PARTS.min(*budget);
    let mut combination = Combination { types, left: most };
    let objects = combination.of(schema, &mut BTreeSet::new());
    *budget -= most - combination.left;
    objects
}

struct Combination<'s> {
    types: &'s BTreeMap<String, Value>,
    /// How many schemas it may still look at.
    left: usize,
}

impl<'s> Combination<'s> {
    fn of(&mut self, schema: &'s Value, above: &mut BTreeSet<&'s str>) -> Option<Vec<Object<'s>>> {
        self.left = self.left.checked_sub(1)?;
        let schema = schema.as_object()?;
        if ["const", "enum", "not"].iter().any(|key| schema.contains_key(*key)) {
            return None;
        }
        let own = match schema.get("type") {
            Some(Value::String(name)) if name == "object" => Some(own_object(schema)),
            Some(_) => return None,
            None => is_object_without_type(schema).then(|| own_object(schema)),
        };
        let mut is_object = own.is_some();
        let mut objects = vec![own.unwrap_or_default()];
        if let Some(reference) = schema.get("$ref") {
            let name = type_name(reference.as_str()?)?;
            let referred = self.types.get(name).filter(|_| above.insert(name))?;
            let of_it = self.of(referred, above);
            above.remove(name);
            objects = product(&objects, &of_it?)?;
            is_object = true;
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            objects = product(&objects, &self.of(part, above)?)?;
            is_object = true;
        }
        for key in ["oneOf", "anyOf"] {
            let Some(variants) = schema.get(key).and_then(Value::as_array) else { continue };
            let mut of_all = Vec::new();
            for variant in variants {
                of_all.extend(self.of(variant, above)?);
            }
            objects = product(&objects, &of_all)?;
            is_object = true;
        }
        is_object.then_some(objects)
    }
}

fn is_object_without_type(schema: &Map<String, Value>) -> bool {
    ["properties", "additionalProperties", "patternProperties"].iter().any(|key| schema.contains_key(*key))
}

/// The object that a schema describes by itself.
pub(super) fn own_object(schema: &Map<String, Value>) -> Object<'_> {
    let required: BTreeSet<&str> = match schema.get("required") {
        Some(Value::Array(required)) => required.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    };
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let members = members.map(|(key, schema)| Member { key, schema, is_required: required.contains(&**key) });
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let mut others: Vec<_> = patterns.into_iter().flat_map(Map::values).collect();
    let rest = schema.get("additionalProperties");
    others.extend(rest.filter(|rest| !rest.is_boolean()));
    Object { members: members.collect(), others, is_closed: rest == Some(&Value::Bool(false)) }
}

/// Each object of one list with the members of each of another list.
fn product<'s>(some: &[Object<'s>], others: &[Object<'s>]) -> Option<Vec<Object<'s>>> {
    if some.len() * others.len() > MAX_ALTERNATIVES {
        return None;
    }
    Some(some.iter().flat_map(|one| others.iter().map(|other| one.with(other))).collect())
}

impl<'s> Object<'s> {
    fn with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        let mut places: BTreeMap<&str, usize> = all.members.iter().map(|it| it.key).zip(0..).collect();
        for member in &other.members {
            match places.get(member.key) {
                Some(place) => all.members[*place].is_required |= member.is_required,
                None => {
                    places.insert(member.key, all.members.len());
                    all.members.push(*member);
                }
            }
        }
        all.others.extend(&other.others);
        all.is_closed &= other.is_closed;
        all
    }

    /// What distinguishes an object from the other variants of its enum: the tag, or the only key.
    pub(super) fn label(&self) -> Option<&'s str> {
        let tag = self.members.iter().find_map(|member| {
            let text = member.schema.get("const").or_else(|| only(member.schema.get("enum")?))?.as_str()?;
            Some(text).filter(|_| member.is_required)
        });
        tag.or(match &*self.members {
            [member] => Some(member.key),
            _ => None,
        })
    }
}

fn only(values: &Value) -> Option<&Value> {
    if let [value] = &**values.as_array()? { Some(value) } else { None }
}
