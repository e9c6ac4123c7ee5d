use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add;

struct Desk;

#[handlers]
impl Desk {
    fn note(&self, _: Note) {}
}

#[handlers]
impl Desk {
    fn add(&self, _: Add) -> i64 {
        5
    }
}

fn main() {}
