use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Protocol)]
#[protocol(to_server(Note))]
struct Jobs;

struct Desk;

#[handlers(server = Jobs)]
impl Desk {
    fn note(&self, _: Note) {}
}

#[handlers(server = Jobs)]
impl Desk {
    async fn note_again(&self, _: Note) {}
}

fn main() {}
