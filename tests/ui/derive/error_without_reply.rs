use socket_ipc::Topic;

struct SubmitError;

#[derive(Topic)]
#[topic(name = "submit", error = SubmitError)]
struct Submit;

fn main() {}
