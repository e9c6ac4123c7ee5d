use serde::Serialize;
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize)]
#[topic = "note"]
struct Note;

struct Desk;

#[handlers]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {}
