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

#[handlers(server = Jobs)]
impl Desk {
    fn news(&self, _: News) {}
}

fn main() {}
