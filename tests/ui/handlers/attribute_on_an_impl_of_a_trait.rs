use socket_ipc::handlers;

struct Desk;

#[handlers]
impl Clone for Desk {
    fn clone(&self) -> Self {
        Desk
    }
}

fn main() {}
