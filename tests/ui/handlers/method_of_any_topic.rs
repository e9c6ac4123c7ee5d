use socket_ipc::{Topic, handlers};


struct Desk;

#[handlers]
impl Desk {
    fn note(&self, _: impl Topic) {}
}

fn main() {}
