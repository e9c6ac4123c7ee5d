//! The path is well formed, but names no crate. The error points at it.

use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello", crate = "crate::nowhere")]
struct Hello;

fn main() {}
