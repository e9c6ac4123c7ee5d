use serde::{Deserialize, Serialize};
use socket_ipc::{Attaching, Handles, Protocol, RegisterError, Server, Topic, handlers};

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

impl Handles<News, Server<Jobs>> for Desk {
    fn attach(_: Attaching<'_, Self, News, Server<Jobs>>) -> Result<(), RegisterError> {
        Ok(())
    }
}

fn main() {
    let server = Jobs::server("/tmp/myApp.sock").build();
    let _ = server.attach_topics::<(Note, News)>(Desk);
}
