use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "follow", stream = u64, reply_topic = "events")]
struct Follow;

fn main() {}
