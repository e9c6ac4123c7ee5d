use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

struct Desk(Vec<u64>);

#[handlers]
impl Desk {
    async fn count(&self, _: Count) -> impl futures::Stream<Item = u64> {
        futures::stream::iter(self.0.iter().copied())
    }
}

fn main() {}
