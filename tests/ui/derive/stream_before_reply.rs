use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream = u64, error = u8, reply = u64)]
struct Follow;

fn main() {}
