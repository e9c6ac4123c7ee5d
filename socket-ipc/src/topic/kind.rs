//! The kinds of topics. They are types: generated code chooses by them what a handler of a topic returns.

/// A plain message: nothing comes back.
#[derive(Debug)]
pub enum Message {}

/// A request, which has one reply: the kind of every [`Request`](crate::Request).
#[derive(Debug)]
pub enum Request {}

/// A request whose reply is a stream of items.
#[derive(Debug)]
pub enum Stream {}
