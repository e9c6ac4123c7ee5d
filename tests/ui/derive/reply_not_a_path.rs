use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = (Sum, Sum))]
struct Add;

#[derive(Topic)]
#[topic = "sum"]
struct Sum;

fn main() {}
