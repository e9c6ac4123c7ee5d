use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add;

struct Desk;

#[handlers]
impl Desk {
    async fn add(&self, _: Add) -> Result<u8, String> {
        Ok(5)
    }
}

fn main() {}
