use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream = 5)]
struct Follow;

fn main() {}
