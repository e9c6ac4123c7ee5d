use socket_ipc::Topic;

#[derive(Topic)]
#[topic(foo = 5, name = "hello")]
struct Hello;

fn main() {}
