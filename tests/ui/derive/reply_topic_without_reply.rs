use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply_topic = "sum")]
struct Add;

fn main() {}
