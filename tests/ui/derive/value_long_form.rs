use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = c"hello")]
struct Hello;

fn main() {}
