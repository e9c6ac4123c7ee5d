use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    text: &'m str,
}

#[derive(Protocol)]
#[protocol(to_server(Note, Add, Log<'_>))]
struct Jobs;

struct Desk;

#[handlers(server = Jobs)]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {
    let server = Jobs::server("/tmp/myApp.sock").build();
    let _ = server.attach(Desk);
}
