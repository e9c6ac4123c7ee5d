use socket_ipc::{Topic, handlers};


struct Desk;

#[handlers]
impl Desk {
    fn note<T: Topic>(&self, _: T) {}
}

fn main() {}
