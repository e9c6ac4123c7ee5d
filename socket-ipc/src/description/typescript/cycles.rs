//! References between types that TypeScript rejects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::description::definitions::type_name;

/// The references that are part of a cycle without an object or an array in it, as pairs of the type that refers and
/// the type it refers to. TypeScript rejects such cycles.
pub(in crate::description) type Cycles = BTreeSet<(String, String)>;

pub(in crate::description) fn cycles(types: &[(&str, Value)]) -> Cycles {
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
    // Kosaraju's algorithm: the types that are reached backwards from the type that was left last, and that are in no
    // component yet, are one component. There is no recursion, because the schema comes from another program, and a
    // chain of types may be long.
    let mut components: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, name) in order_of_leaving(&forth).into_iter().rev().enumerate() {
        let mut ahead = vec![name];
        while let Some(name) = ahead.pop() {
            if !components.contains_key(name) {
                components.insert(name, number);
                ahead.extend(back.get(name).into_iter().flatten());
            }
        }
    }
    let all = forth.iter().flat_map(|(name, references)| references.iter().map(move |other| (*name, *other)));
    let within = all.filter(|(name, other)| components.get(name) == components.get(other));
    within.map(|(name, other)| (name.to_owned(), other.to_owned())).collect()
}

/// All types in the order in which a depth-first search leaves them: each after the types that it refers to, except in
/// a cycle.
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
