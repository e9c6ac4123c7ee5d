//! Types of the shapes that serde has, for each language.

use std::collections::BTreeMap;

use super::*;

#[derive(JsonSchema, Serialize, Deserialize)]
pub(super) enum External {
    Unit,
    Newtype(u8),
    Tuple(u8, String),
    Struct { a: u8, b: Option<u8> },
    Nested(Point),
}

#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(tag = "is")]
pub(super) enum Internal {
    Unit,
    Struct {
        a: u8,
    },
    Nested(Point),
    #[serde(other)]
    Other,
}

#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(tag = "is", content = "with")]
pub(super) enum Adjacent {
    Unit,
    Newtype(u8),
}

#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Untagged {
    Number(u8),
    Struct { a: u8 },
    Unit,
    List(Vec<Untagged>),
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub(super) enum Never {}

#[derive(JsonSchema, Serialize, Deserialize)]
pub(super) struct Flat {
    own: Option<u8>,
    #[serde(flatten)]
    point: Point,
    #[serde(flatten)]
    more: BTreeMap<String, bool>,
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub(super) struct Tree {
    children: Vec<Tree>,
    other: Option<Box<Tree>>,
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub(super) struct Chain(Option<Box<Chain>>);
