use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct OldNews;

#[derive(TopicSet)]
enum FromServer {
    News(News),
    OldNews(OldNews),
}

fn main() {
    let client = socket_ipc::Client::new("/tmp/myApp.sock");
    client.subscribe::<FromServer>();
}
