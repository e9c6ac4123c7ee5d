use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

struct Desk;

#[handlers(sever = Jobs)]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {}
