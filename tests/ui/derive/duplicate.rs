use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
#[topic = "goodbye"]
struct Hello;

fn main() {}
