use socket_ipc::handlers;


struct Desk;

#[handlers]
impl Desk {
    fn note(&self, _: String) {}
}

fn main() {}
