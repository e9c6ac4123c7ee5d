use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "submit", reply = u64, error = 5)]
struct Submit;

fn main() {}
