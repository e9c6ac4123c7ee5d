use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(TopicSet)]
struct FromServer {
    news: News,
}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<FromServer>();
}
