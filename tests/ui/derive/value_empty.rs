use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = )]
struct Hello;

fn main() {}
