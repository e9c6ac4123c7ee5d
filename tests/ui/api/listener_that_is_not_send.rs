use std::rc::Rc;

use socket_ipc::{Server, Topic};

#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    let counter = Rc::new(5);
    server.on::<Hello>(move |msg, client_id| println!("{client_id} {} {counter}", msg.name));
}
