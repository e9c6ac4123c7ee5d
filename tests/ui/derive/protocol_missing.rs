use socket_ipc::Protocol;

#[derive(Protocol)]
struct Chat;

fn main() {}
