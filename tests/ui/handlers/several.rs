use serde::{Deserialize, Serialize};
use socket_ipc::{Context, Protocol, Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add;

#[derive(Protocol)]
#[protocol(to_server(Note, Add))]
struct Jobs;

struct Desk;

#[handlers(server = Jobs)]
impl Desk {
    fn new() -> Self {
        Desk
    }

    fn note(&mut self, _: &Note) {}

    fn add<T>(&self, _: Add, _: Context<'_, Jobs>, _: T) -> i64 {
        5
    }
}

fn main() {
    let server = Jobs::server("/tmp/myApp.sock").build();
    let _ = server.attach(Desk::new());
}
