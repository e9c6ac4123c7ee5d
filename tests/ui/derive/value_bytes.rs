use socket_ipc::Topic;

#[derive(Topic)]
#[topic = b"hello"]
struct Hello;

fn main() {}
