use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream = u64, stream = u64)]
struct Follow;

fn main() {}
