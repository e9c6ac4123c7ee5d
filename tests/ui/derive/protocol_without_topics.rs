use socket_ipc::Protocol;

#[derive(Protocol)]
#[protocol(to_server(), to_client())]
struct Chat;

fn main() {}
