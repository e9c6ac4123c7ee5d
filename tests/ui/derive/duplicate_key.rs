use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello", crate = "::socket_ipc", name = "goodbye")]
struct Hello;

fn main() {}
