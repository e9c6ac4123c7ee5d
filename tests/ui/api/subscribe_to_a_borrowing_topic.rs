use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    #[serde(borrow)]
    text: Cow<'m, str>,
}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<Log>();
}
