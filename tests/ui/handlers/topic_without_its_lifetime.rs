use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    text: &'m str,
}

struct Desk;

#[handlers]
impl Desk {
    fn log(&self, _: Log) {}
}

fn main() {}
