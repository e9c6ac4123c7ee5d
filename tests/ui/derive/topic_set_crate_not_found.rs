use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(TopicSet)]
#[topic_set(crate = "missing")]
enum FromServer {
    News(News),
}

fn main() {}
