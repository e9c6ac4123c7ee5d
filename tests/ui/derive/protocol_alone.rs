use socket_ipc::Protocol;

#[derive(Protocol)]
#[protocol]
struct Chat;

fn main() {}
