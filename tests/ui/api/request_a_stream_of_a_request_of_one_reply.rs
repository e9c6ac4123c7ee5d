use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = u64)]
struct Ping;

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.request_stream(&Ping);
}
