use socket_ipc::Topic;

#[derive(Topic)]
#[topic = 5]
struct Hello;

fn main() {}
