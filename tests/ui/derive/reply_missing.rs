use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply)]
struct Add;

fn main() {}
