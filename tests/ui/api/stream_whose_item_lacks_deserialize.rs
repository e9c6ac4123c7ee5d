use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "follow", stream = JobEvent)]
struct Follow;

#[derive(Serialize)]
struct JobEvent;

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.request_stream(&Follow);
}
