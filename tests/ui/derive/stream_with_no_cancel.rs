use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", no_cancel, stream = u64)]
struct Follow;

fn main() {}
