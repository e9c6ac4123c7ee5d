use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = Sum<'_>)]
struct Add;

#[derive(Topic)]
#[topic = "sum"]
struct Sum<'a>(&'a str);

fn main() {}
