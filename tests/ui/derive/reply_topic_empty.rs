use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = i64, reply_topic = "")]
struct Add;

fn main() {}
