use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Protocol)]
#[protocol(to_server(Note), to_client(News))]
struct Jobs;

struct Desk;

#[handlers(client = Jobs)]
impl Desk {
    fn note(&self, _: Note) {}
}

fn main() {}
