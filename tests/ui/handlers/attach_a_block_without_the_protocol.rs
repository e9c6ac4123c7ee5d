use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Protocol)]
#[protocol(to_server(Note))]
struct Jobs;

struct Desk;

#[handlers]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {
    let server = Jobs::server("/tmp/myApp.sock").build();
    let _ = server.attach(Desk);
}
