//! Messages that borrow.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

use super::{decode, listen, message_is};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    level: u8,
    #[serde(borrow)]
    text: Cow<'m, str>,
    target: &'m str,
}

#[derive(Topic, Deserialize)]
#[topic = "enum"]
enum Enum<'anything> {
    Text(&'anything str),
}

#[derive(Topic, Deserialize)]
#[topic = "tuple"]
struct Tuple<'a>(&'a str);

#[test]
fn derive_borrowed_message_borrows_from_the_received_bytes() {
    let json = String::from(r#"{"level":3,"text":"no escapes","target":"here"}"#);
    let log = decode::<Log<'static>>(&json);
    assert_eq!((log.level, log.target), (3, "here"));
    assert!(matches!(log.text, Cow::Borrowed("no escapes")));
    assert!(json.as_bytes().as_ptr_range().contains(&log.target.as_ptr()));

    assert_eq!(decode::<Tuple<'_>>(r#""text""#).0, "text");
    let Enum::Text(text) = decode::<Enum<'_>>(r#"{"Text":"text"}"#);
    assert_eq!(text, "text");
}

#[test]
fn listener_of_borrowed_topic_needs_no_annotation() {
    listen::<Log<'_>>(r#"{"level":3,"text":"hi","target":"here"}"#, |msg| assert_eq!(msg.target, "here"));
    listen::<Tuple<'_>>(r#""text""#, |msg| assert_eq!(msg.0.len(), 4));
}

#[test]
fn derive_borrowed_message_replaces_only_the_lifetime() {
    fn is<'m>(_: &'m str) -> &'static str {
        message_is::<'m, Log<'static>, Log<'m>>()
    }
    assert_eq!(is(""), "log");
}
