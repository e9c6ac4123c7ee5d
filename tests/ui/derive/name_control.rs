use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello\n"]
struct Hello;

fn main() {}
