use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = u64)]
struct Ping;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond_stream::<Ping>(|_, _client_id| stream::iter([1, 2]));
}
