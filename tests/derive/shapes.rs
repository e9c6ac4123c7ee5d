//! Types of every shape.

use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

use super::{decode, message_is};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "named"]
struct Named {
    text: String,
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "tuple"]
struct Tuple(u8, String);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "unit"]
struct Unit;

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "enum"]
enum Enum {
    Unit,
    Tuple(u8),
    Named { text: String },
}

#[derive(Topic)]
#[topic = "never"]
enum Never {}

#[test]
fn derive_owned_shapes_have_their_name_and_are_the_message() {
    assert_eq!(message_is::<Named, Named>(), "named");
    assert_eq!(message_is::<Tuple, Tuple>(), "tuple");
    assert_eq!(message_is::<Unit, Unit>(), "unit");
    assert_eq!(message_is::<Enum, Enum>(), "enum");
    assert_eq!(message_is::<Never, Never>(), "never");
}

#[test]
fn derive_owned_shapes_decode() {
    assert_eq!(decode::<Named>(r#"{"text":"hi"}"#), Named { text: "hi".into() });
    assert_eq!(decode::<Tuple>(r#"[7,"hi"]"#), Tuple(7, "hi".into()));
    assert_eq!(decode::<Unit>("null"), Unit);
    assert_eq!(decode::<Enum>(r#""Unit""#), Enum::Unit);
    assert_eq!(decode::<Enum>(r#"{"Tuple":7}"#), Enum::Tuple(7));
    assert_eq!(decode::<Enum>(r#"{"Named":{"text":"hi"}}"#), Enum::Named { text: "hi".into() });
}
