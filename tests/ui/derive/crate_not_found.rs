//! The path is well formed, and leads nowhere: reported where it is written.

use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello", crate = "crate::nowhere")]
struct Hello;

fn main() {}
