//! The kinds of topics: what comes back for a message.
//!
//! They are types, which [`#[derive(Topic)]`](macro@crate::Topic) names as [`Exchange::Kind`](crate::Exchange::Kind).
//! A method of a struct is attached by the kind of its topic: as a listener, a responder or a stream responder.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Exchange, Topic, kind};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic(name = "add", reply = i64)]
//! struct Add { left: i64, right: i64 }
//!
//! fn is_request<T: Exchange<Kind = kind::Request>>() {}
//!
//! is_request::<Add>();
//! ```

use std::pin::Pin;

use crate::topic;

/// A plain message: nothing comes back.
#[derive(Debug)]
pub enum Message {}

/// A request, which gets one reply: the kind of every [`Request`](crate::Request).
#[derive(Debug)]
pub enum Request {}

/// A request whose reply is a stream of items: the kind of every [`StreamRequest`](crate::StreamRequest).
#[derive(Debug)]
pub enum Stream {}

/// A kind of topics.
#[doc(hidden)]
pub trait Kind<T: ?Sized> {
    /// What a handler of the topic has for the peer. It may borrow from the handler's struct.
    type Outcome<'h>;
}

impl<T: ?Sized> Kind<T> for Message {
    type Outcome<'h> = ();
}

impl<T: topic::Request> Kind<T> for Request {
    type Outcome<'h> = Result<T::Reply, T::Error>;
}

impl<T: topic::StreamRequest> Kind<T> for Stream {
    type Outcome<'h> = Pin<Box<dyn futures_core::Stream<Item = Result<T::Item, T::Error>> + Send + 'h>>;
}
