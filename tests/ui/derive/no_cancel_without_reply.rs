use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "submit", no_cancel)]
struct Submit;

fn main() {}
