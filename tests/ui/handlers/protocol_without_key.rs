use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Protocol)]
#[protocol(to_server(Note))]
struct Jobs;

struct Desk;

#[handlers(Jobs)]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {}
