use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(TopicSet)]
enum FromServer<T> {
    News(News),
    Other(T),
}

fn main() {}
