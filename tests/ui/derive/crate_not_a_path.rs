use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello", crate = "socket-ipc")]
struct Hello;

fn main() {}
