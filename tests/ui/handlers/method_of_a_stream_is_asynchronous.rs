use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

struct Desk;

#[handlers]
impl Desk {
    async fn count(&self, _: Count) -> futures::stream::Empty<u64> {
        futures::stream::empty()
    }
}

fn main() {}
