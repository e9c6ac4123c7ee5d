//! Serde's types, as schemars describes them, in TypeScript and in one JSON schema. Tests of the workspace check that
//! `tsc` accepts the TypeScript.

mod json_schema;
mod python;
mod shapes;
mod types;
mod typescript;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Description, Direction, Framing, Integers, TopicDescription};
use crate::wire::Wire;

fn read<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

fn written<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

#[derive(JsonSchema, Serialize, Deserialize)]
struct Point {
    x: i32,
}
