use socket_ipc::handlers;


#[handlers]
struct Desk;

fn main() {}
