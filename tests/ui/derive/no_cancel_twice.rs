use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "submit", no_cancel, reply = u64, no_cancel)]
struct Submit;

fn main() {}
