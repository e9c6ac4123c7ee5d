use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello"s)]
struct Hello;

fn main() {}
