use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

struct Desk;

#[handlers]
impl Desk {
    fn count(&self, _: Count) -> impl futures::Stream<Item = String> {
        futures::stream::empty()
    }
}

fn main() {}
