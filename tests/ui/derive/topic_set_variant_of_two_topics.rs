use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "job event"]
struct JobEvent;

#[derive(TopicSet)]
enum FromServer {
    Both(News, JobEvent),
}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<FromServer>();
}
