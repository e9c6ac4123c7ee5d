use socket_ipc::Topic;

#[derive(Topic)]
#[topic(name = "submit", reply = u64, no_cancel = true)]
struct Submit;

fn main() {}
