use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "add", reply = Sum)]
struct Add<'a> {
    text: &'a str,
}

#[derive(Topic)]
#[topic = "sum"]
struct Sum;

fn main() {}
