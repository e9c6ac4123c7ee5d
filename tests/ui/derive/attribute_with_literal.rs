use socket_ipc::Topic;

#[derive(Topic)]
#[topic("greeting")]
struct Hello;

fn main() {}
