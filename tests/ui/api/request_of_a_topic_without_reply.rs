use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum;

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.request(&Sum);
}
