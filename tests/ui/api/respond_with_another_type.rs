use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.respond::<Add>(|_, _client_id| 5);
}
