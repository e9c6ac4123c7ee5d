use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = Submitted)]
struct Submit;

#[derive(Serialize, Deserialize)]
struct Submitted;

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.respond_async::<Submit>(|_| async { "submitted" });
}
