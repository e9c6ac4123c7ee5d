use socket_ipc::handlers;


#[handlers]
fn note() {}

fn main() {}
