use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = 5)]
struct Add;

fn main() {}
