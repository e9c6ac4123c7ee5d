use socket_ipc::Topic;

#[derive(Topic)]
#[topic = concat!("hel", "lo")]
struct Hello;

fn main() {}
