//! The macros of socket-ipc: the derives `Topic`, `TopicSet` and `Protocol`, and the attribute `handlers`.
//!
//! Depend on `socket-ipc`, which re-exports each beside the trait of the same name: `use socket_ipc::Topic`
//! brings both.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::Topic;
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello {
//!     name: String,
//! }
//!
//! assert_eq!(Hello::NAME, "hello");
//! ```
//!
//! [`Topic`](derive@Topic), [`TopicSet`](derive@TopicSet), [`Protocol`](derive@Protocol) and
//! [`handlers`](macro@handlers) have the reference of each.

#![forbid(unsafe_code)]

mod handlers;
mod keys;
mod mistakes;
mod protocol;
mod topic;
mod topic_set;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

#[doc = include_str!("docs/topic.md")]
#[proc_macro_derive(Topic, attributes(topic))]
pub fn derive_topic(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    topic::topic(&input).into()
}

#[doc = include_str!("docs/protocol.md")]
#[proc_macro_derive(Protocol, attributes(protocol))]
pub fn derive_protocol(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    protocol::protocol(&input).into()
}

#[doc = include_str!("docs/handlers.md")]
#[proc_macro_attribute]
pub fn handlers(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handlers::handlers(attribute.into(), item.into()).into()
}

#[doc = include_str!("docs/topic_set.md")]
#[proc_macro_derive(TopicSet, attributes(topic_set))]
pub fn derive_topic_set(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    topic_set::topic_set(&input).into()
}
