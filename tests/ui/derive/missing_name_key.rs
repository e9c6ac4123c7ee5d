use socket_ipc::Topic;

#[derive(Topic)]
#[topic(crate = "::socket_ipc")]
struct Hello;

fn main() {}
