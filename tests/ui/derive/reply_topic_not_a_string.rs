use socket_ipc::Topic;

struct Sum;

#[derive(Topic)]
#[topic(name = "add", reply = i64, reply_topic = Sum)]
struct Add;

fn main() {}
