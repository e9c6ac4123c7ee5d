use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "lines", stream = &str)]
struct Lines;

fn main() {}
