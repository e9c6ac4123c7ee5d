use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream)]
struct Follow;

fn main() {}
