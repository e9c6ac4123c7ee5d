use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name("hello"))]
struct Hello;

fn main() {}
