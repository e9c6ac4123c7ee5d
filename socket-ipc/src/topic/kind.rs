//! The kinds of topics. They are types: generated code chooses by them what a handler of a topic returns.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Exchange, Topic, kind};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic(name = "count", stream = u64)]
//! struct Count { to: u64 }
//!
//! fn is_a_stream<T: Exchange<Kind = kind::Stream>>() {}
//!
//! is_a_stream::<Count>();
//! ```

/// A plain message: nothing comes back.
#[derive(Debug)]
pub enum Message {}

/// A request, which has one reply: the kind of every [`Request`](crate::Request).
#[derive(Debug)]
pub enum Request {}

/// A request whose reply is a stream of items: the kind of every [`StreamRequest`](crate::StreamRequest).
#[derive(Debug)]
pub enum Stream {}
