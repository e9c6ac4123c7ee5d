use socket_ipc::Topic;

#[derive(Topic)]
#[topic = hello]
struct Hello;

fn main() {}
