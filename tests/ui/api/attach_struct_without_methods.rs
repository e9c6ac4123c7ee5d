use serde::{Deserialize, Serialize};
use socket_ipc::{Server, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum;

struct Handlers;

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let _ = server.attach::<(Add,)>(Handlers);
}
