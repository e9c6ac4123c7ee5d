use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Server, Topic, handlers};

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

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.attach(Desk);
}
