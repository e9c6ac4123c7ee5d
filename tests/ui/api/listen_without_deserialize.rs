use socket_ipc::{Server, Topic};

#[derive(Topic, serde::Serialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

fn main() {
    let server = Server::new("/tmp/myApp.sock");
    server.on::<Hello>(|msg, client_id| println!("{client_id} {}", msg.name));
}
