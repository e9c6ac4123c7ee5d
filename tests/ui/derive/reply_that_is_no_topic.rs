use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = Sum)]
struct Add;

struct Sum;

fn main() {}
