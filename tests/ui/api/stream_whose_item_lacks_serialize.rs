use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = JobEvent)]
struct Follow;

#[derive(Deserialize)]
struct JobEvent;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond_stream::<Follow>(|_, _client_id| stream::iter([JobEvent]));
}
