use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum;

#[derive(Protocol)]
#[protocol(to_client(Add))]
struct Chat;

fn main() {
    let server = Chat::server("/tmp/myApp.sock").build();
    let _ = server.respond::<Add>(|_, _client_id| Sum);
}
