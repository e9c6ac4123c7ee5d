use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello", "crate")]
struct Hello;

fn main() {}
