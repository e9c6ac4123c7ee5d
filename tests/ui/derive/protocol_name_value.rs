use socket_ipc::Protocol;

#[derive(Protocol)]
#[protocol = "chat"]
struct Chat;

fn main() {}
