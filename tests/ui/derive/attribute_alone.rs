use socket_ipc::Topic;

#[derive(Topic)]
#[topic]
struct Hello;

fn main() {}
