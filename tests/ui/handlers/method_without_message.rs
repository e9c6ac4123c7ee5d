use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

struct Desk;

#[handlers]
impl Desk {
    fn tick(&self) {}
}

fn main() {}
