use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count;

struct Desk;

#[handlers]
impl Desk {
    fn count(&self, _: Count) -> u64 {
        5
    }
}

fn main() {}
