use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = "the sum")]
struct Add;

fn main() {}
