use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add;

struct Desk;

#[handlers]
impl Desk {
    fn add(&self, _: Add) {}
}

fn main() {}
