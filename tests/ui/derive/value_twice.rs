use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "hello" "hello")]
struct Hello;

fn main() {}
