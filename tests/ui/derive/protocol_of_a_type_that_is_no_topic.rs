use socket_ipc::Protocol;

struct Plain;

#[derive(Protocol)]
#[protocol(to_server(Plain))]
struct Chat;

fn main() {}
