use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, handlers};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note;

struct Desk;

#[handlers]
impl Desk {
    async fn note(&self, note: Note) {
        let counted = std::rc::Rc::new(note);
        std::future::ready(()).await;
        drop(counted);
    }
}

fn main() {}
