//! Every form of the name.

use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "long form")]
struct Long;

#[derive(Topic)]
#[topic(name = "long form, comma behind")]
struct Comma;

#[derive(Topic)]
#[topic = r#"raw "literal""#]
struct RawLiteral;

/// A doc comment above the attribute.
#[derive(Topic)]
/// And one between.
#[cfg_attr(all(), topic = "conditional")]
#[cfg_attr(any(), topic = "never")]
struct Conditional;

#[derive(Topic)]
#[topic = "raw identifier"]
#[allow(non_camel_case_types)]
struct r#type;

#[derive(Topic)]
#[topic = "grüße 👋 %EOM% \" \\"]
struct NotAscii;

// 256 bytes: the longest.
#[derive(Topic)]
#[topic = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
struct Longest;

#[test]
fn derive_name_forms_give_the_name_of_the_literal() {
    assert_eq!(Long::NAME, "long form");
    assert_eq!(Comma::NAME, "long form, comma behind");
    assert_eq!(RawLiteral::NAME, r#"raw "literal""#);
    assert_eq!(Conditional::NAME, "conditional");
    assert_eq!(r#type::NAME, "raw identifier");
    assert_eq!(NotAscii::NAME, "grüße 👋 %EOM% \" \\");
    assert_eq!(Longest::NAME.len(), 256);
}
