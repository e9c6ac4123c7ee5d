use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(Protocol)]
#[protocol(to_server(Note), to_client(News))]
struct Jobs;

struct Desk;

#[handlers(server = Jobs)]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {
    let client = Jobs::client("/tmp/myApp.sock").build();
    let _ = client.attach(Desk);
}
