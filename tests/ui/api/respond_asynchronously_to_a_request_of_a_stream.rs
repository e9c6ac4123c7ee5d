use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Topic};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

fn main() {
    let client = Client::new("/tmp/myApp.sock");
    let _ = client.respond_async::<Count>(|_| async { 5 });
}
